"""dnf: its words as captured, and dnf itself in a root of its own with real packages."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fettle_agent.packages import Unsupported, Wanted, dnf_offers
from fettle_agent.packages.dnf import Dnf
from fettle_agent.packages.keeping import checksum
from hypothesis import given
from hypothesis import strategies as st

SPEC = """Name: {name}
Version: {version}
Release: 1
Summary: The {name} of a test
License: MIT
BuildArch: noarch
{more}
%description
The {name} of a test.
%install
mkdir -p %{{buildroot}}/opt
echo {version} > %{{buildroot}}/opt/{name}
%files
/opt/{name}
"""


def quiet(percent):
    """Nobody looks at the progress."""


def test_updates_and_their_advisories_are_read(sample):
    updates = list(dnf_offers.parse_updates(sample("dnf_check_update_three.txt")))
    listed = list(dnf_offers.parse_listed(sample("dnf_updateinfo_list.txt")))
    advisories = dnf_offers.parse_advisories(sample("dnf_updateinfo_info.txt"))

    assert updates[1] == ("fettle-part", "noarch", "1:2.0-1")
    assert [(one.package, one.severity) for one in listed] == [
        ("fettle-demo.noarch", "important"),
        ("fettle-part.noarch", None),
    ]
    assert advisories["FETTLE-2026:0001"] == dnf_offers.Advisory(
        "Important: fettle-demo security update", ("CVE-2026-1111", "CVE-2026-2222"), "2026-11-04"
    )
    assert advisories["FETTLE-2026:0002"].cves == ()


def test_plan_tells_all_that_it_touches(sample):
    assert dnf_offers.changes(sample("dnf_plan.txt")) == ("fettle-demo", "fettle-part")


@given(st.text())
def test_any_text_is_read_without_harm(text):
    list(dnf_offers.parse_updates(text))
    list(dnf_offers.parse_listed(text))
    dnf_offers.parse_advisories(text)
    dnf_offers.changes(text)
    list(dnf_offers.parse_installed(text))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0-1", "1.1-1"),
        ("1.9-1", "1.10-1"),
        ("9-1", "1:1-1"),
        ("1.0~rc1-1", "1.0-1"),
        ("1.0-1", "1.0^git1-1"),
        ("1.0-1.el9", "1.0-2.el9"),
        ("1.0a-1", "1.0.1-1"),
        ("1.0^git1-1", "1.0.1-1"),
        ("1.0-1", "1.0a-1"),
    ],
)
def test_versions_stand_in_rpms_order(older, newer):
    assert dnf_offers.compare(older, newer) == -1
    assert dnf_offers.compare(newer, older) == 1
    assert dnf_offers.compare(newer, newer) == 0


def test_order_is_the_one_of_rpm_itself():
    if shutil.which("rpm") is None:
        pytest.skip("rpm's own order cannot be asked here: rpm is not installed")
    pool = ["1", "1.0", "01", "1.0~rc1", "1.0^a", "1.0a", "1.0.1", "a", "1a1", "2~~", "2~", "1..0", "10", "9z"]
    pairs = [(left, right) for left in pool for right in pool]
    calls = ",".join(f'rpm.vercmp("{left}","{right}")' for left, right in pairs)
    said = subprocess.run(
        ["rpm", "--eval", f'%{{lua:print(table.concat({{{calls}}}, " "))}}'], check=True, capture_output=True, text=True
    ).stdout

    assert [dnf_offers.compare(f"{left}-1", f"{right}-1") for left, right in pairs] == [int(word) for word in said.split()]


class Fedora:
    """A folder that dnf takes for the whole machine, and a repository that offers packages made here."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.repository = folder, folder / "root", folder / "repository"
        self.repository.mkdir()
        (self.root / "etc/dnf").mkdir(parents=True)
        (self.root / "etc/dnf/dnf.conf").write_text(
            f"[main]\ngpgcheck=0\npluginconfpath={folder}/plugins\n"
            f"[demo]\nname=demo\nbaseurl=file://{self.repository}\nmetadata_expire=0\n"
        )
        (folder / "plugins").mkdir()
        (folder / "plugins/versionlock.conf").write_text(f"[main]\nenabled=1\nlocklist={folder}/locked\n")
        (folder / "locked").touch()
        self.dnf = Dnf(folder / "keep", self.root)

    def build(self, name: str, version: str, more: str = "") -> Path:
        spec = self.folder / "package.spec"
        spec.write_text(SPEC.format(name=name, version=version, more=more))
        made = self.folder / "made"
        defines = (
            "--define",
            f"_topdir {self.folder}/build",
            "--define",
            f"_rpmdir {made}",
            "--define",
            "_build_name_fmt %{NAME}-%{VERSION}.rpm",
        )
        subprocess.run(["rpmbuild", "-bb", "--quiet", *defines, str(spec)], check=True, capture_output=True)
        return made / f"{name}-{version}.rpm"

    def publish(self, *packages: Path) -> None:
        shutil.rmtree(self.repository)
        self.repository.mkdir()
        for package in packages:
            shutil.copy(package, self.repository)
        subprocess.run(["createrepo_c", "-q", str(self.repository)], check=True, capture_output=True)
        assert self.dnf.refresh().worked

    def install(self, name: str, version: str = "", **options):
        sha256 = options.pop("sha256", "")
        chosen = {"only_upgrade": False, "allow_downgrade": False, "progress": quiet} | options
        return self.dnf.install([Wanted(name, version, sha256)], **chosen)


@pytest.fixture
def fedora(tmp_path):
    missing = [tool for tool in ("dnf", "rpmbuild", "createrepo_c") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"dnf cannot be tried for real here: {', '.join(missing)} is not installed (dnf, rpm, createrepo-c)")
    if os.geteuid() != 0:
        pytest.skip("dnf cannot be tried for real here: rpm changes owners of files, which only root may")
    return Fedora(tmp_path)


@pytest.mark.root
def test_real_dnf_upgrades_and_brings_back_what_the_repository_dropped(fedora):
    old, new = fedora.build("demo", "1.0", "Epoch: 1"), fedora.build("demo", "1.1", "Epoch: 1")
    fedora.publish(old)
    assert fedora.install("demo").worked
    fedora.publish(old, new)
    (offer,) = fedora.dnf.offers()
    assert (offer.name, offer.installed, offer.version) == ("demo", "1:1.0-1", "1:1.1-1")
    assert fedora.dnf.touched([Wanted("demo", "1:1.1-1")], only_upgrade=True, allow_downgrade=False) == ("demo",)
    assert fedora.dnf.keep_former(["demo", "unknown"]) == {"demo": "", "unknown": ""}
    assert "is refused" in fedora.install("demo", "1:1.1-1", sha256="0" * 64).words
    ran = fedora.install("demo", "1:1.1-1", only_upgrade=True, sha256=checksum(new))
    assert ran.worked, ran.words
    assert fedora.dnf.offers() == ()

    fedora.publish(new)
    assert "does not allow to go back" in fedora.install("demo", "1:1.0-1").words
    ran = fedora.install("demo", "1:1.0-1", allow_downgrade=True)
    assert ran.worked, ran.words
    assert fedora.dnf.installed(["demo", "unknown"]) == {"demo": "1:1.0-1"}
    assert (fedora.root / "opt/demo").read_text() == "1.0\n"


@pytest.mark.root
def test_real_dnf_holds_a_package_and_still_tells_its_update(fedora):
    old, new = fedora.build("demo", "1.0"), fedora.build("demo", "1.1")
    fedora.publish(old)
    assert fedora.install("demo").worked
    fedora.publish(new)
    try:
        assert fedora.dnf.hold(["demo"], held=True).worked
    except Unsupported as error:
        pytest.skip(f"dnf cannot hold packages here: {error}")

    assert [(offer.version, offer.held) for offer in fedora.dnf.offers()] == [("1.1-1", True)]
    assert not fedora.install("demo", "1.1-1").worked
    assert fedora.dnf.hold(["demo"], held=False).worked
    assert fedora.install("demo", "1.1-1").worked


@pytest.mark.root
def test_real_dnf_removes_and_says_what_it_cannot(fedora):
    old, new = fedora.build("demo", "1.0"), fedora.build("demo", "1.1")
    fedora.publish(old)
    assert fedora.install("demo").worked
    fedora.publish(new)
    assert "can be had nowhere any more" in fedora.dnf.keep_former(["demo"])["demo"]
    assert "Unable to find a match" in fedora.install("unknown").words
    for name in ("-f", "*", "@group", "/bin/sh", "a;b"):
        with pytest.raises(Unsupported):
            fedora.install(name)

    assert fedora.dnf.remove(["demo", "unknown"], quiet).worked
    assert fedora.dnf.installed(["demo"]) == {}


@pytest.mark.root
def test_real_dnf_finishes_what_was_cut_off(fedora):
    old, new = fedora.build("demo", "1.0"), fedora.build("demo", "1.1")
    fedora.publish(old, new)
    assert fedora.install("demo", "1.0-1").worked
    force = ["rpm", "--root", str(fedora.root), "-i", "--force", "--nodeps", str(new)]
    subprocess.run(force, check=True, capture_output=True)
    assert len(dnf_offers.installed(("--root", str(fedora.root)))) == 2

    ran = fedora.install("demo", "1.1-1")
    assert ran.worked, ran.words
    assert "cut off" in ran.words
    assert len(dnf_offers.installed(("--root", str(fedora.root)))) == 1


def test_local_cache_is_two_lines_of_dnfs_settings(tmp_path):
    settings = tmp_path / "etc/dnf/dnf.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text("[main]\ngpgcheck=1\n")
    dnf = Dnf(tmp_path / "keep", tmp_path)

    assert dnf.use_cache("http://cache.school.example:3142").worked
    assert dnf.use_cache("http://other.school.example:3142").worked
    assert settings.read_text().count("proxy=http://other.school.example:3142\n") == settings.read_text().count("proxy=") == 1
    assert dnf.use_cache("").worked
    assert settings.read_text() == "[main]\ngpgcheck=1\n"
    settings.write_text("[main]\nproxy=http://county.example\n")
    assert "did not write" in dnf.use_cache("http://cache.school.example").words
