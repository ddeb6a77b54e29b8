"""Forms: what is cut by hand is what the library reads."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.multipart import Part, _parse_any_form, _split_at_boundary, parse_form
from store.errors import BadInput

BOUNDARY = b"------------------------d74496d66958873e"
TYPE = b"multipart/form-data; boundary=" + BOUNDARY

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
contents = st.binary(max_size=300).filter(lambda content: BOUNDARY not in content)
parts = st.lists(st.builds(Part, names, st.none() | names, contents), min_size=1, max_size=5)


def form(found: list[Part]) -> bytes:
    body = b""
    for part in found:
        file_name = b"" if part.file_name is None else b'; filename="' + part.file_name.encode() + b'"'
        kind = b"" if part.file_name is None else b"Content-Type: image/png\r\n"
        body += b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="' + part.name.encode() + b'"'
        body += file_name + b"\r\n" + kind + b"\r\n" + part.content + b"\r\n"
    return body + b"--" + BOUNDARY + b"--\r\n"


@given(parts)
def test_a_usual_form_is_cut_into_what_was_put_in_and_the_library_agrees(found: list[Part]) -> None:
    body = form(found)
    assert _split_at_boundary(BOUNDARY, body) == found
    read = _parse_any_form(TYPE, body)
    assert sorted(read, key=repr) == sorted(found, key=repr)


@given(parts, st.data())
def test_a_damaged_form_is_refused_or_read_but_never_breaks(found: list[Part], data: st.DataObject) -> None:
    body = form(found)
    place = data.draw(st.integers(0, len(body) - 1))
    damaged = body[:place] + bytes([body[place] ^ data.draw(st.integers(1, 255))]) + body[place + 1 :]
    for content in (damaged, body[:place]):
        with suppress(BadInput):
            parse_form(TYPE, content, maximum_parts=20)


def test_an_unusual_form_is_left_to_the_library() -> None:
    body = form([Part("file", "picture.png", b"content")]).replace(b'name="file"', b'name="fi\\"le"')
    assert _split_at_boundary(BOUNDARY, body) is None
    assert [part.content for part in parse_form(TYPE, body, maximum_parts=20)] == [b"content"]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (b"multipart/form-data", b"", 400),
        (b"text/plain; boundary=x", b"--x--", 400),
        (TYPE, form([Part("file", "a.png", b"")] * 30), 413),
    ],
)
def test_what_is_no_form_or_holds_too_much_is_refused(content_type: bytes, body: bytes, status: int) -> None:
    with pytest.raises(BadInput) as raised:
        parse_form(content_type, body, maximum_parts=20)
    assert raised.value.status == status
