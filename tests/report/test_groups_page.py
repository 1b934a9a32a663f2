"""The page of groups: what it escapes, its search in a browser, the names of files."""

import re

import pytest
from headless import chromium

from avreward.report._groups_page import GroupsPage, GroupView, file_names, render_groups, write_groups
from avreward.report.data import PlayableMedia

NOTHING = PlayableMedia("", "video", problem="Nothing to play")


def view(name: str, prompt: str = "") -> GroupView:
    return GroupView(name, "best.mp4", 71.25, 1.5, [("other.mp4", 69.75)], NOTHING, f"./{name}.html", prompt)


def test_text_is_escaped():
    page = GroupsPage([view("<script>alert(1)</script>", 'a "dog" & <b>cat</b>')], "prompt", "overall")
    text = render_groups(page)
    assert "<script>alert" not in text
    assert "<b>cat" not in text
    assert re.search(r'data-text="[^"]*a &#34;dog&#34; &amp; &lt;b&gt;cat', text)
    assert "script-src 'sha256-" in text.replace("&#39;", "'")


def test_file_names_are_safe_and_different():
    names = ["../a/b", "A dog!", "a dog?", "", "x" * 300, "x" * 301, ".."]
    found = file_names(names)
    assert found == ["a-b", "A-dog", "a-dog-2", "group", "x" * 60, f"{'x' * 60}-2", "group-2"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_search_and_width(tmp_path, width):
    names = ["rain", "drum", "averyverylongname" * 9]
    page = write_groups(
        GroupsPage([view(name, f"a {name} that is heard") for name in names], "prompt", "overall"), tmp_path / "p.html"
    )
    with chromium(tmp_path / "profile") as driver:
        driver.set_window_size(width, 900)
        driver.get(page.as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        field = driver.find_element("id", "search")
        field.send_keys("HEARD dru")
        shown = [one.text for one in driver.find_elements("css selector", ".group h3") if one.is_displayed()]
        assert shown == ["drum"]
        assert driver.find_element("id", "found").text == "1 of 3"
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
