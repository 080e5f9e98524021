"use strict";
// What is done with texts, whatever page they are on: marking, shortening, comparing.
const texts = (() => {
  const LONGEST_TABLE = 12_000_000, EXCERPT = 700, ASKED = 220;

  function make(tag, text, className) {
    const node = document.createElement(tag);
    if (text !== undefined && text !== null) node.textContent = text;
    if (className) node.className = className;
    return node;
  }
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  // Characters that show nothing or turn the direction of text are made visible: an answer may be full of them.
  const HIDDEN = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u200B-\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/g;
  const plain = (text) => text.replace(HIDDEN, "\uFFFD");
  const oneLine = (text, length) => plain(text.replace(/\s+/g, " ").trim().slice(0, length)) || "(empty)";
  function excerpt(text) {
    return text.length > EXCERPT ? `${text.slice(0, EXCERPT)} […]` : text;
  }
  const points = (value) => {
    const text = (value * 100).toFixed(1);
    return value > 0 && Number(text) !== 0 ? `+${text}` : text.replace("-", "−");
  };

  // --- what was asked: the end of what a prompt has of its own, in whole lines

  // How many characters all prompts of a task begin and end with.
  function shared(prompts) {
    const [first] = prompts;
    let start = prompts.size > 1 ? first.length : 0, end = start;
    for (const text of prompts) {
      let same = 0;
      while (same < start && text[same] === first[same]) same += 1;
      start = same;
      same = 0;
      while (same < end && text[text.length - 1 - same] === first[first.length - 1 - same]) same += 1;
      end = same;
    }
    return [start, end];
  }
  function asked(text, [start, end]) {
    const from = text.lastIndexOf("\n", start - 1) + 1, to = text.indexOf("\n", Math.max(from, text.length - end));
    const lines = text.slice(from, to < 0 ? text.length : to).split("\n").map((line) => line.trim()).filter(Boolean);
    let said = lines.pop() || "";
    while (lines.length && said.length + lines.at(-1).length < ASKED) said = `${lines.pop()} ${said}`;
    return plain(said.length > ASKED ? `${said.slice(0, ASKED)} […]` : said);
  }

  // --- what differs between two texts

  const cut = (text) => text.match(/\s+|[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/gu) || [];
  const sentences = (text) => text.match(/[^.!?\n]+[.!?\n]*\s*|[.!?\n]+\s*/g) || [];

  // Word by word; two texts of n and m pieces take a table of n x m cells, and very long ones go sentence by sentence.
  function difference(reference, candidate) {
    return compared(cut(reference), cut(candidate)) || compared(sentences(reference), sentences(candidate));
  }
  function compared(a, b) {
    let start = 0, end = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
    const n = a.length - start - end, m = b.length - start - end;
    if (n * m > LONGEST_TABLE) return null;
    const table = new Uint16Array((n + 1) * (m + 1));
    for (let i = n - 1; i >= 0; i -= 1) {
      for (let j = m - 1; j >= 0; j -= 1) {
        table[i * (m + 1) + j] = a[start + i] === b[start + j] ? table[(i + 1) * (m + 1) + j + 1] + 1
          : Math.max(table[(i + 1) * (m + 1) + j], table[i * (m + 1) + j + 1]);
      }
    }
    const same = { reference: a.map((_, i) => i < start || i >= a.length - end),
      candidate: b.map((_, j) => j < start || j >= b.length - end) };
    for (let i = 0, j = 0; i < n && j < m;) {
      if (a[start + i] === b[start + j]) {
        same.reference[start + i] = same.candidate[start + j] = true;
        i += 1; j += 1;
      } else if (table[(i + 1) * (m + 1) + j] >= table[i * (m + 1) + j + 1]) i += 1; else j += 1;
    }
    return { reference: [a, same.reference], candidate: [b, same.candidate] };
  }

  // --- into the page

  function addText(place, text, query) {
    let from = 0;
    for (const found of text.matchAll(HIDDEN)) {
      addHits(place, text.slice(from, found.index), query);
      const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      place.append(make("span", `U+${code}`, "hidden-character"));
      from = found.index + found[0].length;
    }
    addHits(place, text.slice(from), query);
  }

  // Where the search matches, letter by letter: a folded letter may be longer or shorter than what it stands for.
  function addHits(place, text, query) {
    const terms = fold(query).split(/\s+/).filter(Boolean);
    if (!terms.length || !terms.some((term) => fold(text).includes(term))) {
      place.append(text);
      return;
    }
    let folded = "";
    const at = [];
    for (let i = 0; i < text.length; i += 1) {
      for (const letter of fold(text[i])) { folded += letter; at.push(i); }
    }
    const hit = new Uint8Array(text.length);
    for (const term of terms) {
      for (let i = folded.indexOf(term); i >= 0; i = folded.indexOf(term, i + 1)) hit.fill(1, at[i], at[i + term.length - 1] + 1);
    }
    for (let i = 0; i < text.length;) {
      let j = i;
      while (j < text.length && hit[j] === hit[i]) j += 1;
      place.append(hit[i] ? make("mark", text.slice(i, j), "hit") : text.slice(i, j));
      i = j;
    }
  }

  return { make, fold, oneLine, excerpt, points, shared, asked, difference, addText };
})();
