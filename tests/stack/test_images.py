"""What an image is made from decides its tag, and nothing else does. Unmarked: no image is built here."""

import dataclasses
import shutil

import pytest
from stack import images

ODOO = images.IMAGES[0]


@pytest.fixture
def checkout(settings, tmp_path):
    """Settings of a small repository with all that the Odoo image takes in."""
    repository = tmp_path / "repository"
    for name in ("infrastructure/docker/odoo/bin/start", "loomworks_a/models/a.py", "loomworks_a/tests/test_a.py"):
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for name in ("requirements-odoo.lock", "requirements-uv.lock", "README.md"):
        (repository / name).write_text(name)
    return dataclasses.replace(settings, repository=repository)


def tag(settings):
    return images.references(settings)["loomworks-odoo"].rpartition(":")[2]


@pytest.mark.parametrize(
    "name", ["loomworks_a/models/a.py", "requirements-odoo.lock", "infrastructure/docker/odoo/bin/start"]
)
def test_a_changed_input_changes_the_tag(checkout, name):
    before = tag(checkout)
    (checkout.repository / name).write_text("changed")
    assert tag(checkout) != before


def test_a_renamed_input_changes_the_tag(checkout):
    before = tag(checkout)
    shutil.move(checkout.repository / "loomworks_a", checkout.repository / "loomworks_b")
    assert tag(checkout) != before


def test_an_input_that_becomes_executable_changes_the_tag(checkout):
    before = tag(checkout)
    (checkout.repository / "infrastructure/docker/odoo/bin/start").chmod(0o755)
    assert tag(checkout) != before


@pytest.mark.parametrize("name", ["README.md", "loomworks_a/tests/test_a.py", "loomworks_a/models/__pycache__/a.pyc"])
def test_what_the_image_does_not_hold_leaves_the_tag(checkout, name):
    before = tag(checkout)
    path = checkout.repository / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("changed")
    assert tag(checkout) == before


def test_the_context_holds_exactly_what_the_tag_speaks_for(checkout, tmp_path):
    context = tmp_path / "context"
    images._assemble(checkout.repository, images._files(checkout, ODOO), context)
    found = {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()}
    assert found == {
        "infrastructure/docker/odoo/bin/start",
        "loomworks_a/models/a.py",
        "requirements-odoo.lock",
        "requirements-uv.lock",
    }


@pytest.mark.parametrize("image", [image for image in images.IMAGES if image.context == "."], ids=lambda one: one.name)
def test_docker_leaves_out_what_we_leave_out(settings, image):
    """Docker takes the whole repository as its context, and this file is all that narrows it."""
    ignored = set((settings.repository / image.folder / "Dockerfile.dockerignore").read_text().split())
    assert {f"!{pattern}" for pattern in image.inputs} <= ignored
    assert "**/__pycache__" in ignored
    assert {"loomworks_*/tests", "loomworks_*/readme"} <= ignored or {"**/tests", "**/readme"} <= ignored


def test_every_name_is_one_that_the_manifests_use(settings):
    manifests = "".join(path.read_text() for path in (settings.repository / "infrastructure/kubernetes/base").iterdir())
    assert all(f"image: {image.name}\n" in manifests for image in images.IMAGES)
