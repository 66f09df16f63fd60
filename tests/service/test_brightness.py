"""Cameras of 10 and 12 bits: judged and shown by the bits of the bundle, and told where these are not the camera's."""

import json

import cv2
from support.ledger import Ledger
from support.site import BRIGHT, DARK, Site, deep_picture, picture, until

from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Preparation

TWELVE = Preparation(64, 64, bits=12)


def fill(site: Site, bits: int, count: int = 6) -> None:
    for number in range(count):
        site.drop(f"dark-{bits}-{number}.png", deep_picture(DARK, bits, number))
        site.drop(f"bright-{bits}-{number}.png", deep_picture(BRIGHT, bits, number))


def told(site: Site) -> list[str]:
    return [detail for (detail,) in site.rows("select detail from events where kind = 'brightness' order by id")]


def brightness(site: Site) -> str | None:
    found = json.loads(Ledger(site.root, {}).run("status", "--json")[1])
    said: str | None = found["watches"][0]["brightness"]
    return said


def test_images_too_dark_for_the_bundle_are_told_once_and_right_with_its_bits(site: Site) -> None:
    right = write_null_bundle(site.root / "models" / "twelve", "twelve", preparation=TWELVE)
    fill(site, 12)
    assert site.start("--once").ends() == 0
    assert set(site.outcomes(12).values()) == {"ok"}, "all are black to a bundle of 16 bits"
    [detail] = told(site)
    assert detail.startswith("line by null@")
    assert ": No value in its first images exceeds 1/16 of the range of 16 bits" in detail
    assert f"watch line: {brightness(site)}" in Ledger(site.root, {}).run("status")[1]

    site.write({"model": "models/twelve"})
    daemon = site.start()
    daemon.heard("READY=1")
    assert brightness(site) is None, "it is of the daemon that ran before"
    fill(site, 12, 8)  # six of them are known
    outcomes = site.outcomes(16)
    assert {outcomes[f"{name}-12-7.png"] for name in ("dark", "bright")} == {"ok", "defect"}
    [(overlay,)] = site.rows("select overlay from verdicts where path = 'bright-12-7.png'")
    assert cv2.imread(str(site.root / "output" / overlay)).mean() > 100
    code, out, _ = Ledger(site.root, {}).run("reinspect", "--model", str(right.path), "--verdict", "ok")
    assert code == 0, out
    query = "select count(*) from inspections join models on models.id = model_id where models.name = 'twelve'"
    until(lambda: site.rows(query) == [(4 + 12,)], "the earlier images judged again")
    sql = (
        "select verdict, count(*) from inspections join models on models.id = model_id where name = 'twelve' group by 1"
    )
    assert site.rows(sql) == [("defect", 8), ("ok", 8)]
    assert daemon.stop() == 0
    assert told(site) == [detail]


def test_images_too_bright_for_the_bundle_are_told_once_in_a_run(site: Site) -> None:
    write_null_bundle(site.root / "models" / "twelve", "twelve", preparation=TWELVE)
    site.write({"model": "models/twelve"})
    fill(site, 12)
    site.drop("plain.png", picture(BRIGHT))
    daemon = site.start()
    site.outcomes(13)
    assert told(site) == []
    fill(site, 16)
    assert set(site.outcomes(25).values()) == {"ok", "defect"}
    [detail] = until(lambda: told(site), "the event")
    assert ": Values in its images exceed the range of 12 bits" in detail
    assert brightness(site) == detail.partition(": ")[2]
    assert daemon.stop() == 0
    site.drop("again.png", deep_picture(BRIGHT, 16, 99))
    assert site.start("--once").ends() == 0
    assert told(site) == [detail, detail]
