"""How the documents of a task belong together: articles, copies of one document, strata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lm_eval_fr.logs.columns import Columns, Labels, read_arguments
from lm_eval_fr.logs.task_log import TaskLog
from lm_eval_fr.pairing.pairs import Strata

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clusters:
    """codes: numbered in order of appearance, None if every document is its own. copies: repeated documents."""

    codes: Codes | None
    names: tuple[str, ...]
    copies: int


def clusters_of(log: TaskLog, columns: Columns, rows: npt.NDArray[np.intp]) -> Clusters:
    """Documents of one article (the task's cluster field), and documents that ask the same thing.

    A document listed thirty times is one document, even with other examples before it; under another id it
    is recognised by its requests, which are all that a model sees.
    """
    n = len(rows)
    same = _same_requests(log, columns, rows)
    _, listed = np.unique(columns.doc_hash[rows], return_inverse=True)
    if n and int(listed.max()) < n - 1:
        _, same = np.unique(merged(listed, same), return_inverse=True)
    copies = n - (int(same.max()) + 1 if n else 0)
    labels = columns.fields.get(log.cluster_field) if log.cluster_field is not None else None
    named = np.arange(n) if labels is None else _alone_without_name(labels, rows)
    codes = merged(named, same) if copies else named
    distinct, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    if len(distinct) == n:
        return Clusters(None, (), copies)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    at = rows[first[order]]
    names = tuple("" if labels is None else labels.names[labels.codes[row]] or "" for row in at)
    return Clusters(rank[inverse], names, copies)


def _same_requests(log: TaskLog, columns: Columns, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The same code for documents with the same prompt and, where log-likelihoods are asked, the same choices."""
    _, codes, counts = np.unique(columns.prompt_hash[rows], return_inverse=True, return_counts=True)
    if log.generates:
        return codes
    repeated = np.flatnonzero(counts[codes] > 1)
    known: dict[bytes, int] = {}
    for at, asked in zip(repeated, read_arguments(columns, rows[repeated]), strict=True):
        digest = hashlib.sha256(json.dumps(asked).encode()).digest()
        codes[at] = len(counts) + known.setdefault(digest, len(known))
    _, found = np.unique(codes, return_inverse=True)
    return found


def strata_of(log: TaskLog, columns: Columns, rows: npt.NDArray[np.intp]) -> Iterator[Strata]:
    """The task's own strata, and the kinds of document that its metrics tell apart."""
    for name in log.strata_fields:
        labels = columns.fields[name]
        codes, names = labels.codes[rows], tuple(label or "" for label in labels.names)
        yield _present(name, codes, names)
    if columns.kinds is not None:
        yield _present(columns.kinds.about, columns.kinds.codes[rows], columns.kinds.names)


def _present(name: str, codes: npt.NDArray[np.int32], labels: tuple[str, ...]) -> Strata:
    """Without the labels that no document has, in their natural order: 4096 before 16384."""
    present = sorted(np.unique(codes).tolist(), key=lambda code: _natural(labels[code]))
    rank = np.zeros(len(labels), dtype=np.int64)
    rank[present] = np.arange(len(present))
    return Strata(name, tuple(labels[code] for code in present), rank[codes])


def _natural(label: str) -> tuple[int, float, str]:
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label


def _alone_without_name(labels: Labels, rows: npt.NDArray[np.intp]) -> Codes:
    codes = labels.codes[rows].astype(np.int64)
    nameless = [code for code, name in enumerate(labels.names) if name is None]
    alone = np.isin(codes, nameless)
    codes[alone] = len(labels.names) + np.arange(int(alone.sum()))
    return codes


def merged(one: Codes, other: npt.NDArray[np.intp]) -> Codes:
    """Documents are together if either says so, directly or over others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, one = np.unique(one, return_inverse=True)
    groups = int(one.max()) + 1
    size = groups + int(other.max()) + 1
    graph = coo_array((np.ones(len(one), dtype=bool), (one, groups + other)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component[one], dtype=np.int64)
