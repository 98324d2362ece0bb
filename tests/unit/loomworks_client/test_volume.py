"""How much of a volume attachments may take, and when people are told."""

import os

import pytest
from addons.loomworks_client.volume import Room, room

MI, GI = 1024**2, 1024**3


@pytest.mark.parametrize(
    ("size", "free", "state"),
    [
        (5 * GI, 4 * GI, "fine"),
        (5 * GI, 300 * MI, "fine"),
        (5 * GI, 200 * MI, "nearly"),
        (5 * GI, 17 * MI, "nearly"),
        (5 * GI, 16 * MI, "full"),
        (5 * GI, 0, "full"),
        (300 * MI, 7 * MI, "nearly"),
        (300 * MI, 6 * MI, "full"),
    ],
)
def test_state_of_a_volume(size, free, state):
    assert Room(size, free).state == state


def test_files_leave_the_reserve_alone_to_the_byte():
    found = Room(5 * GI, 20 * MI)
    assert found.takes(4 * MI - 1)
    assert not found.takes(4 * MI)


def test_room_is_that_of_the_file_system(tmp_path):
    stat = os.statvfs(tmp_path)
    assert room(str(tmp_path)).size == stat.f_blocks * stat.f_frsize
