"""What is noted of a request: never what would let its reader send another one."""

import pytest
from addons.loomworks_ai.recording.effects import _plain


@pytest.mark.parametrize(
    ("path", "noted"),
    [
        ("", "/"),
        ("/", "/"),
        ("/hook", "/hook"),
        ("/v1/charges", "/v1/…"),
        ("//twice/as/deep", "/twice/…"),
        ("/services/T012AB3CD/B98ZYXWVU/pO7kLm29sKQxYtR4", "/services/…"),
        ("/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/sendMessage", "/…"),
        ("/3f0c2f1e-5d4f-4b0e-9d0e-2f6f1c7a9b11", "/…"),
        ("/abcdefghijklmnopqrstuvwxyz", "/…"),
    ],
)
def test_of_a_path_only_what_can_be_no_secret(path, noted):
    assert _plain(path) == noted
