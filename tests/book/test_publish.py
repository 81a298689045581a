"""The folder that is published: whole, at any address, and never in the place of something else."""

import importlib.util
import xml.etree.ElementTree as xml

import pytest
from support.places import ROOT

_spec = importlib.util.spec_from_file_location("publish", ROOT / "book" / "publish.py")
assert _spec is not None
assert _spec.loader is not None
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

URL = "https://example.org/lab/precsim"
PAGE = "<html><head><title>x</title></head><body><a href='{}'></a><a href=\"{}\">link</a></body></html>"


@pytest.fixture
def built(tmp_path):
    folder = tmp_path / "html"
    (folder / "1 part").mkdir(parents=True)
    (folder / "_static").mkdir()
    (folder / "_static" / "a.css").write_text("")
    (folder / "intro.html").write_text(PAGE.format("", "1%20part/page.html#place"))
    (folder / "1 part" / "page.html").write_text(PAGE.format("", "../intro.html?q=1"))
    return folder


def test_pages_get_their_address_and_the_sitemap_has_them_all(built, tmp_path):
    out = tmp_path / "dist" / "site"
    assert site.publish(built, out, URL) == 2
    tree = xml.parse(out / "sitemap.xml").getroot()
    places = [one.text for one in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert places == [f"{URL}/1%20part/page.html", f"{URL}/intro.html"]
    assert f'<link rel="canonical" href="{URL}/1%20part/page.html"></head>' in (out / "1 part/page.html").read_text()
    assert f'href="{URL}/intro.html"' in (out / "404.html").read_text()
    assert (out / "_static" / "a.css").exists()
    assert "canonical" not in (built / "intro.html").read_text()


def test_it_is_made_again_whole_and_takes_nothing_elses_place(built, tmp_path):
    out = tmp_path / "site"
    site.publish(built, out, URL)
    (out / "old.html").write_text("")
    site.publish(built, out, URL + "/")
    assert not (out / "old.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["html", "site"], "no draft is left"
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.tex").write_text("years")
    with pytest.raises(ValueError, match="left alone"):
        site.publish(built, mine, URL)
    assert (mine / "chapter.tex").read_text() == "years"


@pytest.mark.parametrize("link", ["/root.html", "missing.html", "../outside.html"])
def test_a_link_that_leads_nowhere_is_named_and_nothing_is_written(built, tmp_path, link):
    (built / "intro.html").write_text(PAGE.format("", link))
    with pytest.raises(ValueError, match=rf"intro.html → {link}"):
        site.publish(built, tmp_path / "site", URL)
    assert not (tmp_path / "site").exists()


def test_a_link_from_the_root_of_a_server_is_refused_even_where_such_a_file_is(built, tmp_path):
    (built / "intro.html").write_text(PAGE.format("", (built / "1 part" / "page.html").as_posix()))
    with pytest.raises(ValueError, match=r"intro.html → /"):
        site.publish(built, tmp_path / "site", URL)


@pytest.mark.parametrize("url", ["", "precsim", "ftp://example.org", "https://example.org/?a=1", "file:///tmp"])
def test_an_address_that_is_none_is_refused(built, tmp_path, url):
    with pytest.raises(ValueError, match="URL is where the site will be"):
        site.publish(built, tmp_path / "site", url)


def test_without_a_book_it_says_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(site, "ROOT", tmp_path)
    assert site.main([URL, "--folder", str(tmp_path / "site")]) == 1
    assert "make book" in capsys.readouterr().err


@pytest.mark.book
def test_every_link_of_the_real_book_holds(tmp_path):
    built = ROOT / "_build" / "html"
    assert site.publish(built, tmp_path / "site", URL) > 40
