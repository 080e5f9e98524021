"use strict";
// The browser of pairs. Every text of a run reaches the page through textContent, never as markup.
(() => {
  const holder = document.getElementById("samples-data");
  if (!holder) return;
  const byId = (id) => document.getElementById(id);
  const PAGE = 150, LONGEST_TABLE = 6_000_000;
  const names = { candidate: holder.dataset.candidate, reference: holder.dataset.reference };
  const chosen = { flags: new Set(), kinds: new Set() };
  let data, shown = [], drawn = 0, current = null;

  function make(tag, text, className) {
    const node = document.createElement(tag);
    if (text !== undefined && text !== null) node.textContent = text;
    if (className) node.className = className;
    return node;
  }

  async function unpack() {
    if (holder.dataset.encoding === "json") return JSON.parse(holder.textContent);
    if (typeof DecompressionStream === "undefined") {
      throw new Error("This browser is too old to unpack the samples (it has no DecompressionStream).");
    }
    const letters = atob(holder.textContent), bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  const answer = (card, arm) => (arm === "candidate" && card.c !== undefined ? card.c : card.r);
  const keyOf = (card) => `${data.tasks[card.t]}/${card.h}`;
  const hashOf = (card) => `#sample=${encodeURIComponent(keyOf(card))}`;
  const points = (value) => {
    const text = (value * 100).toFixed(1);
    return value > 0 && Number(text) !== 0 ? `+${text}` : text.replace("-", "−");
  };
  // A verdict of the judge is said in words: only a metric's difference is a number.
  const shift = (card) => (card.s && card.d !== null && card.d !== undefined ? points(card.d) : "");
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  // The text that a search looks at, made once for each pair, in idle time after the page is usable.
  function haystack(card) {
    if (card.text === undefined) {
      const parts = [data.prompts[card.p], card.r, card.c, card.g, card.k, String(card.i)];
      card.text = fold([...parts, ...Object.values(card.w || {})].filter(Boolean).join("\n"));
    }
    return card.text;
  }

  function prepareSearch(from) {
    const until = Math.min(data.cards.length, from + 40);
    for (let i = from; i < until; i += 1) haystack(data.cards[i]);
    if (until < data.cards.length) later(() => prepareSearch(until));
  }
  const later = (work) => (window.requestIdleCallback || ((call) => setTimeout(call, 30)))(work);

  function chips(holderId, set, entries) {
    const place = byId(holderId);
    if (entries.length < 1 || (holderId === "kinds" && entries.length < 2)) {
      place.hidden = true;
      return;
    }
    for (const [name, count] of entries) {
      const button = make("button", `${name} (${count.toLocaleString("en")})`);
      button.type = "button";
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        const on = !set.has(name);
        if (on) set.add(name); else set.delete(name);
        button.setAttribute("aria-pressed", String(on));
        refresh();
      });
      place.append(button);
    }
  }

  function count(values) {
    const totals = new Map();
    for (const value of values) totals.set(value, (totals.get(value) || 0) + 1);
    return totals;
  }

  function refresh() {
    const words = fold(byId("query").value).split(/\s+/).filter(Boolean);
    shown = data.cards.filter((card) =>
      (!chosen.flags.size || (card.f || []).some((flag) => chosen.flags.has(flag))) &&
      (!chosen.kinds.size || chosen.kinds.has(data.tasks[card.t])) &&
      words.every((word) => haystack(card).includes(word)));
    sortShown(byId("sort").value);
    byId("list").replaceChildren();
    drawn = 0;
    drawMore();
    const all = data.cards.length.toLocaleString("en");
    byId("status").textContent = shown.length === data.cards.length ? `${all} pairs`
      : `${shown.length.toLocaleString("en")} of ${all} pairs${shown.length ? "" : ": nothing matches, take a filter away"}`;
    if (current && shown.length && !shown.includes(current)) goTo(shown[0]);
    else markCurrent();
  }

  function sortShown(order) {
    const plan = (a, b) => a.t - b.t || a.o - b.o;
    const value = (card) => (card.d === null || card.d === undefined ? null : card.d);
    const sign = order === "gain" ? -1 : 1;
    shown.sort(order === "plan" ? plan : (a, b) => {
      const x = value(a), y = value(b);
      if (x === null || y === null) return (x === null) - (y === null) || plan(a, b);
      return sign * (x - y) || plan(a, b);
    });
  }

  function drawMore() {
    const rows = document.createDocumentFragment();
    for (const card of shown.slice(drawn, drawn + PAGE)) rows.append(listRow(card));
    byId("list").append(rows);
    drawn = Math.min(shown.length, drawn + PAGE);
    byId("more").hidden = drawn >= shown.length;
    byId("more").textContent = `Show more (${(shown.length - drawn).toLocaleString("en")} left)`;
  }

  function listRow(card) {
    const item = make("li"), link = make("a"), first = make("span", null, "first");
    link.href = hashOf(card);
    first.append(make("span", `${data.tasks[card.t]} ${card.i}`));
    first.append(make("span", [shift(card), ...(card.f || []).slice(0, 2)].filter(Boolean).join(" · ")));
    link.append(first, make("span", answer(card, "candidate").slice(0, 90) || "(empty)", "snippet"));
    link.dataset.key = keyOf(card);
    item.append(link);
    return item;
  }

  function markCurrent() {
    for (const link of byId("list").querySelectorAll("a[aria-current]")) link.removeAttribute("aria-current");
    if (!current) return;
    const link = byId("list").querySelector(`a[data-key="${CSS.escape(keyOf(current))}"]`);
    if (link) {
      link.setAttribute("aria-current", "true");
      const list = link.closest(".listing"), row = link.getBoundingClientRect(), box = list.getBoundingClientRect();
      if (row.top < box.top || row.bottom > box.bottom) list.scrollTop += row.top - box.top - box.height / 3;
    }
  }

  function step(by) {
    const at = shown.indexOf(current);
    const next = shown[at < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, at + by))];
    if (!next || next === current) return;
    while (shown.indexOf(next) >= drawn) drawMore();
    goTo(next);
  }

  function goTo(card) {
    history.replaceState(null, "", hashOf(card));
    show(card);
  }

  // Words and what stands between them; two texts of n and m pieces take a table of n x m cells.
  function difference(reference, candidate) {
    const cut = (text) => text.match(/\s+|[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/gu) || [];
    const a = cut(reference), b = cut(candidate);
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

  // Characters that show nothing or turn the direction of text are made visible: an answer may be full of them.
  const HIDDEN = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u200B-\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/g;
  function addText(place, text) {
    let from = 0;
    for (const found of text.matchAll(HIDDEN)) {
      place.append(text.slice(from, found.index));
      const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      place.append(make("span", `U+${code}`, "hidden-character"));
      from = found.index + found[0].length;
    }
    place.append(text.slice(from));
  }

  function textBox(text, label) {
    const box = make("div", null, "text");
    box.dir = "auto";
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", label);
    if (text) addText(box, text); else box.append(make("em", "empty"));
    return box;
  }

  function answerBox(arm, card, compared) {
    const column = make("div"), role = arm === "candidate" ? "Candidate" : "Reference";
    column.append(make("h4", `${role}: ${names[arm]}`));
    const scores = Object.entries(card.s || {}).map(([metric, both]) => `${metric} ${points(both[arm === "candidate" ? 0 : 1]).replace("+", "")}`);
    if (scores.length) column.append(make("p", scores.join(", "), "soft"));
    if (!compared) {
      column.append(textBox(answer(card, arm), `Answer of the ${arm}`));
      return column;
    }
    const box = textBox("", `Answer of the ${arm}`), [pieces, same] = compared[arm];
    box.replaceChildren();
    for (let i = 0; i < pieces.length;) {
      let j = i, text = "";
      while (j < pieces.length && same[j] === same[i]) text += pieces[j++];
      const place = same[i] || !text.trim() ? box : box.appendChild(make("mark", null, arm));
      addText(place, text);
      i = j;
    }
    if (!pieces.length) box.append(make("em", "empty"));
    column.append(box);
    return column;
  }

  function judgeTable(card) {
    const table = make("table", null, "orders"), head = make("tr"), body = make("tbody");
    table.append(make("caption", "The judge, in both orders"));
    for (const title of ["shown first", "verdict", "reason"]) {
      const cell = make("th", title);
      cell.scope = "col";
      head.append(cell);
    }
    const top = make("thead");
    top.append(head);
    for (const [order, first, second] of [["candidate_first", "candidate", "reference"], ["reference_first", "reference", "candidate"]]) {
      const row = make("tr"), name = make("th", first), verdict = (card.v || {})[order];
      name.scope = "row";
      const words = { A: `A: the ${first}`, B: `B: the ${second}`, tie: "tie", invalid: "no verdict in the reply" };
      row.append(name, make("td", words[verdict] || "not asked"), make("td", (card.w || {})[order] || "-"));
      body.append(row);
    }
    table.append(top, body);
    return table;
  }

  function show(card) {
    current = card;
    const place = byId("sample"), line = make("div", null, "bar-line");
    const title = make("h3", `${data.tasks[card.t]}, document ${card.i}`);
    title.id = "sample-title";
    for (const flag of card.f || []) title.append(make("span", flag, "tag"));
    const buttons = make("span");
    for (const [label, by] of [["← Previous", -1], ["Next →", 1]]) {
      const button = make("button", label);
      button.type = "button";
      button.addEventListener("click", () => step(by));
      buttons.append(button, " ");
    }
    line.append(title, buttons);
    const compared = card.c === undefined ? null : difference(answer(card, "reference"), answer(card, "candidate"));
    const told = card.c === undefined ? "Both answers are the same." : compared
      ? "Underlined: words that only this answer has." : "Too long to be compared word by word.";
    const facts = [card.k && `cluster: ${card.k}`, `hash ${card.h}`,
      shift(card) && `difference ${shift(card)} points`].filter(Boolean).join(" · ");
    const answers = make("div", null, "answers");
    answers.append(answerBox("reference", card, compared), answerBox("candidate", card, compared));
    const prompt = make("details");
    prompt.open = data.prompts[card.p].length < 1500;
    prompt.append(make("summary", "What both arms were asked"), textBox(data.prompts[card.p], "Prompt"));
    place.replaceChildren(line, make("p", facts, "soft"), prompt);
    if (card.g) place.append(make("h4", "Gold"), textBox(card.g, "Gold"));
    place.append(make("p", told, "soft"), answers);
    if (card.v) place.append(judgeTable(card));
    markCurrent();
  }

  function follow() {
    const found = /^#sample=(.+)$/.exec(location.hash);
    if (!found) return false;
    let key;
    try { key = decodeURIComponent(found[1]); } catch { return false; }
    const card = data.cards.find((one) => keyOf(one) === key);
    if (!card) {
      byId("status").textContent = `${key} is not in this file.`;
      return false;
    }
    show(card);
    return true;
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") { event.preventDefault(); byId("query").focus(); }
  }

  function start(content) {
    data = content;
    byId("samples-missing").hidden = true;
    byId("browser").hidden = false;
    const flags = count(data.cards.flatMap((card) => card.f || []));
    const order = [...byId("browser").querySelectorAll(".meanings dt")].map((term) => term.textContent);
    chips("flags", chosen.flags, order.filter((flag) => flags.has(flag)).map((flag) => [flag, flags.get(flag)]));
    chips("kinds", chosen.kinds, [...count(data.cards.map((card) => data.tasks[card.t]))]);
    let waiting = 0;
    byId("query").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 120); });
    byId("sort").addEventListener("change", refresh);
    byId("more").addEventListener("click", drawMore);
    window.addEventListener("hashchange", () => {
      if (follow()) byId("sample").focus({ preventScroll: window.innerWidth > 832 });
    });
    document.addEventListener("keydown", keys);
    refresh();
    if (follow()) byId("sample").scrollIntoView();
    else if (shown.length) show(shown[0]);
    later(() => prepareSearch(0));
    document.documentElement.dataset.samples = "ready";
  }

  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
  unpack().then(start).catch((error) => {
    byId("samples-missing").textContent = `${error.message} ${byId("samples-missing").textContent}`;
  });
})();
