"""The format of an encrypted object: whatever is changed in one is noticed."""

import struct
from itertools import pairwise

import pytest
from addons.loomworks_storage.filestore import container
from addons.loomworks_storage.filestore.container import HEADER, TAG_SIZE, decrypt, encrypt, sealed_size
from addons.loomworks_storage.filestore.errors import ObjectDamaged, SettingMissing, UnknownFormat, Unreadable, WrongKey
from addons.loomworks_storage.filestore.key import Key
from hypothesis import given, settings
from hypothesis import strategies as st

KEY, CONTEXT = Key.generate(), b"objects/ab"
POWER = 4  # chunks of 16 bytes
STEP = (1 << POWER) + TAG_SIZE
CONTENTS = st.binary(max_size=70)
MORE = settings(max_examples=150, deadline=None)


def sealed(content, power=POWER, key=KEY):
    return b"".join(encrypt([content], key, CONTEXT, power))


def opened(data, key=KEY, context=CONTEXT):
    return b"".join(decrypt([data], key, context))


def cut(data, places):
    """Return ``data`` in pieces."""
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(borders)]


@MORE
@given(CONTENTS, st.lists(st.integers(0, 1000)), st.lists(st.integers(0, 1000)))
def test_content_comes_back_however_it_was_cut(content, places_in, places_out):
    data = b"".join(encrypt(cut(content, places_in), KEY, CONTEXT, POWER))
    assert b"".join(decrypt(cut(data, places_out), KEY, CONTEXT)) == content
    assert len(data) == HEADER.size + len(content) + TAG_SIZE * max(1, -(-len(content) // (1 << POWER)))


@MORE
@given(CONTENTS, st.integers(0, 10**6), st.integers(1, 255))
def test_flipped_bits_are_noticed(content, place, mask):
    data = bytearray(sealed(content))
    data[place % len(data)] ^= mask
    with pytest.raises(Unreadable):
        opened(bytes(data))


@MORE
@given(CONTENTS, st.integers(0, 10**6))
def test_cut_object_is_noticed(content, place):
    data = sealed(content)
    with pytest.raises(Unreadable):
        opened(data[: place % len(data)])


@pytest.mark.parametrize("size", [0, 15, 16, 17, 32, 48])
def test_every_cut_and_every_flipped_bit_is_noticed(size):
    data = sealed(b"x" * size)
    wrong = [data[:end] for end in range(len(data))]
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            wrong.append(bytes(flipped))
    for one in wrong:
        with pytest.raises(Unreadable):
            opened(one)


@MORE
@given(CONTENTS, st.binary(min_size=1, max_size=40))
def test_appended_bytes_are_noticed(content, more):
    with pytest.raises(Unreadable):
        opened(sealed(content) + more)


@MORE
@given(st.binary(min_size=17, max_size=90), st.permutations(range(6)))
def test_chunks_in_another_order_are_noticed(content, order):
    data = sealed(content)
    chunks = [data[place : place + STEP] for place in range(HEADER.size, len(data), STEP)]
    moved = [chunks[index] for index in order if index < len(chunks)]
    if moved != chunks:
        with pytest.raises(ObjectDamaged):
            opened(data[: HEADER.size] + b"".join(moved))


@MORE
@given(CONTENTS, st.data())
def test_chunk_of_another_object_is_noticed(content, data):
    one, other = sealed(content), sealed(content)
    number = data.draw(st.integers(0, (len(one) - HEADER.size - 1) // STEP))
    place = HEADER.size + number * STEP
    with pytest.raises(ObjectDamaged):
        opened(one[:place] + other[place : place + STEP] + one[place + STEP :])


def test_object_under_another_name_is_noticed():
    with pytest.raises(ObjectDamaged):
        opened(sealed(b"x"), context=b"objects/ac")


def test_another_key_is_told():
    with pytest.raises(WrongKey, match=KEY.identifier.hex()):
        opened(sealed(b"x"), key=Key.generate())


def test_later_format_is_told():
    data = bytearray(sealed(b"x"))
    data[4] = 2
    with pytest.raises(UnknownFormat):
        opened(bytes(data))


def test_reader_takes_no_chunks_that_do_not_fit_its_memory():
    with pytest.raises(UnknownFormat):
        opened(struct.pack(">4sBBH8s32s", container.MAGIC, 1, 60, 0, KEY.identifier, bytes(32)))


def test_same_content_is_never_encrypted_in_the_same_way():
    assert sealed(b"x" * 100)[HEADER.size :] != sealed(b"x" * 100)[HEADER.size :]


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_size_of_an_object_follows_from_that_of_its_content(size):
    assert len(sealed(bytes(size), container.CHUNK_POWER)) == sealed_size(size)


def test_key_is_its_digits():
    assert Key.parse(f"{KEY.text}\n") == KEY
    assert KEY.text not in repr(KEY)


@pytest.mark.parametrize("text", ["", "ab", "x" * 64, "00" * 33])
def test_what_is_no_key_is_refused_and_not_repeated(text):
    with pytest.raises(SettingMissing) as caught:
        Key.parse(text)
    assert not text or text not in str(caught.value)
