"""Whatever happens to a run's files, pairing gives the right result or one clear line."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lm_eval_fr.errors import InputError
from lm_eval_fr.logs import find_run
from lm_eval_fr.pairing import PairedTask, pair_runs
from tests.fakes.runs import FakeSample, FakeTask, make_run

quick = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))

documents = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 3), "title": st.sampled_from(["Paris", "Lyon", ""]), "text": st.sampled_from(["é", "b"])}
    ),
    min_size=1,
    max_size=8,
)


def task(docs: list[dict[str, Any]], answers: str = "x") -> FakeTask:
    samples = [
        FakeSample(doc, f"Lis « {doc['text']} ».\nRéponse :", f"{answers}{i}", {"f1": i / 8, "ok": i % 2}, doc["text"])
        for i, doc in enumerate(docs)
    ]
    return FakeTask("piaf_fr", samples, cluster="title")


def facts(paired: PairedTask) -> tuple[Any, ...]:
    pairs = [(p.doc_id, p.candidate.answer, p.reference.answer, p.cluster) for p in paired.pairs()]
    scores = [{name: values.tolist() for name, values in arm.items()} for arm in (paired.candidate, paired.reference)]
    return paired.doc_ids.tolist(), list(paired.doc_hashes), pairs, scores


def only_file(folder: Path, pattern: str) -> Path:
    return next(folder.glob(pattern))


@quick
@given(documents, st.randoms(use_true_random=False))
def test_the_order_of_an_arms_lines_never_changes_the_pairs(docs: list[dict[str, Any]], draw: random.Random) -> None:
    with TemporaryDirectory() as name:
        candidate = make_run(Path(name) / "c", task(docs, "c"), form="chat")
        reference = make_run(Path(name) / "r", task(docs, "r"))
        before = facts(pair_runs(find_run(candidate), find_run(reference)).tasks[0])
        for folder in (candidate, reference):
            path = only_file(folder, "samples_*")
            lines = path.read_bytes().splitlines(keepends=True)
            draw.shuffle(lines)
            path.write_bytes(b"".join(lines))
        assert facts(pair_runs(find_run(candidate), find_run(reference)).tasks[0]) == before


@quick
@given(documents)
def test_every_document_is_paired_with_itself(docs: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as name:
        candidate = make_run(Path(name) / "c", task(docs), form="template")
        reference = make_run(Path(name) / "r", task(docs), form="raw")
        (paired,) = pair_runs(find_run(candidate), find_run(reference)).tasks
        assert paired.n == len(docs)
        assert [pair.reference.doc for pair in paired.pairs()] == docs
        assert [pair.candidate.answer for pair in paired.pairs()] == [f"x{i}" for i in range(len(docs))]


DOCS = [{"id": i, "title": "Paris", "text": f"é{i}"} for i in range(3)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("runs")
    return make_run(root / "c", task(DOCS), form="chat"), make_run(root / "r", task(DOCS))


def after_damage(folders: tuple[Path, Path], pattern: str, damage: Callable[[bytes], bytes]) -> tuple[Any, ...] | None:
    """The facts of the pairs after `damage` to the candidate; None if it was refused, on one line."""
    path = only_file(folders[0], pattern)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    try:
        return facts(pair_runs(find_run(folders[0]), find_run(folders[1])).tasks[0])
    except InputError as error:
        assert "\n" not in str(error)
        return None
    finally:
        path.write_bytes(whole)


@quick
@given(data=st.data(), pattern=st.sampled_from(["samples_*", "results_*"]))
def test_a_cut_file_is_refused_or_read_right(folders: tuple[Path, Path], data: st.DataObject, pattern: str) -> None:
    def cut(whole: bytes) -> bytes:
        return whole[: data.draw(st.integers(0, len(whole) - 1), label="bytes")]

    assert after_damage(folders, pattern, cut) in (None, after_damage(folders, pattern, lambda whole: whole))


@quick
@given(
    data=st.data(),
    pattern=st.sampled_from(["samples_*", "results_*"]),
    byte=st.sampled_from([b"", b"0", b"\xff", b'"', b"{", b"\n"]),
)
def test_a_spoilt_byte_never_ends_in_a_traceback(
    folders: tuple[Path, Path], data: st.DataObject, pattern: str, byte: bytes
) -> None:
    def spoil(whole: bytes) -> bytes:
        at = data.draw(st.integers(0, len(whole) - 1), label="at")
        return whole[:at] + byte + whole[at + 1 :]

    after_damage(folders, pattern, spoil)
