"""A list of tenants to bring in: every line is judged by itself, and all of them before anything is done."""

import pytest
from addons.loomworks_storage.importing import lines
from addons.loomworks_storage.importing.errors import ListUnreadable
from addons.loomworks_storage.importing.lines import Line, read

HEADER = "name,subdomain,plan,source"
PLANS = ("Basic", "Pro")


def problems(*rows, taken=()):
    return [one.problems for one in read("\n".join((HEADER, *rows)).encode(), PLANS, taken)]


def test_lines_are_read_with_their_numbers():
    data = "\ufeffPlan;Source;remark;Name;Subdomain\n\nBasic;acme.zip;x;Acme, Ltd.;acme\nPro; old/two/ ;;Two;two\n"
    assert read(data.encode(), PLANS) == [
        Line(3, "Acme, Ltd.", "acme", "Basic", "acme.zip"),
        Line(4, "Two", "two", "Pro", "old/two"),
    ]


def test_cell_in_quotes_may_have_what_separates():
    [line] = read(f'{HEADER}\n"A, B",acme,Basic,a.zip\n'.encode(), PLANS)
    assert (line.name, line.problems) == ("A, B", ())


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",acme,Basic,a.zip", "no name"),
        (f"{'x' * 129},acme,Basic,a.zip", "more than 128 characters"),
        ("a\x07b,acme,Basic,a.zip", "cannot be printed"),
        ("A,ac,Basic,a.zip", "no subdomain"),
        ("A,Acme,Basic,a.zip", "no subdomain"),
        ("A,-acme,Basic,a.zip", "no subdomain"),
        ("A,taken,Basic,a.zip", "another tenant's"),
        ("A,acme,Gold,a.zip", "no plan “Gold”"),
        ("A,acme,Basic,", "no folder or archive"),
        ("A,acme,Basic,../a.zip", "no folder or archive"),
        ("A,acme,Basic,a/../../b", "no folder or archive"),
        ("A,acme,Basic,/etc", "no folder or archive"),
        ("A,acme,Basic,a//b", "no folder or archive"),
        ("A,acme,Basic,.hidden", "no folder or archive"),
    ],
)
def test_line_says_what_is_wrong_and_the_others_are_not_touched_by_it(row, problem):
    found = problems("Good,good,Pro,good.zip", row, taken={"taken"})
    assert found[0] == ()
    assert len(found[1]) == 1
    assert problem in found[1][0]


def test_every_problem_of_a_line_is_told_at_once():
    assert len(problems(",x,Gold,..")[0]) == 4


def test_what_is_in_two_lines_is_wrong_in_both():
    found = problems("A,acme,Basic,a.zip", "B,acme,Basic,b.zip", "C,three,Basic,b.zip")
    assert ["subdomain" in str(one) for one in found] == [True, True, False]
    assert ["source" in str(one) for one in found] == [False, True, True]


def test_folder_with_a_slash_at_its_end_is_the_one_without():
    found = problems("A,acme,Basic,old/acme", "B,two,Basic,old/acme/", "C,three,Basic,old/acme//")
    assert ["several lines" in str(one) for one in found] == [True, True, True]
    assert [lines.bare(name) for name in ("a", "a/b/", "a.zip//", "/", "")] == ["a", "a/b", "a.zip", "/", ""]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not name name, subdomain, plan, source"),
        (HEADER.encode(), "no line"),
        (b"name,subdomain,source\na,b,c", "does not name plan"),
        ("name,subdomain,plan,source\nÄ".encode("latin-1"), "not UTF-8"),
        (f'{HEADER}\n"a,b'.encode(), r"cannot be read: unexpected end"),
        (f"{HEADER}\n{'x' * 200_000},b,c,d".encode(), "cannot be read"),
    ],
)
def test_what_is_no_such_list_is_refused_whole(data, message):
    with pytest.raises(ListUnreadable, match=message):
        read(data, PLANS)


def test_longer_list_than_can_be_watched_is_refused(monkeypatch):
    monkeypatch.setattr(lines, "MOST_LINES", 1)
    with pytest.raises(ListUnreadable, match="more than 1 lines"):
        problems("A,aaa,Basic,a.zip", "B,bbb,Basic,b.zip")


def test_line_may_say_where_the_dump_is_and_how_much_there_has_to_be():
    data = f"{HEADER},dump,Files,bytes\nA,acme,Basic,old/acme,dumps/a.dump,12 340,3200000000\n"
    assert read(data.encode(), PLANS) == [
        Line(2, "A", "acme", "Basic", "old/acme", "dumps/a.dump", 12340, 3_200_000_000)
    ]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("../a.dump,1,2", "is no dump"),
        ("a.dump,-1,2", "“-1” is no number of files"),
        ("a.dump,1,1.5", "“1.5” is no number of bytes"),
        (f"a.dump,1,{'9' * 20}", "is no number of bytes"),
    ],
)
def test_what_a_line_says_of_its_content_has_to_be_readable(cells, problem):
    [line] = read(f"{HEADER},dump,files,bytes\nA,acme,Basic,old,{cells}\n".encode(), PLANS)
    assert len(line.problems) == 1
    assert problem in line.problems[0]


def test_subdomain_that_no_tenant_gets_is_told():
    found = read(f"{HEADER}\nA,admin,Basic,a.zip\nB,acme-,Basic,b.zip\n".encode(), PLANS, reserved={"admin"})
    assert ["reserved" in str(one.problems) for one in found] == [True, False]
    assert "no hyphen last" in found[1].problems[0]


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", ".x", "", "a\nb"])
def test_place_that_leads_elsewhere_is_refused(name):
    lines.check_place("old platform/acme.zip")
    with pytest.raises(ListUnreadable, match="below the place of sources"):
        lines.check_place(name)
