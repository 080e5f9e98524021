"use strict";
// Tabs, and the browser of pairs. Every text of a run reaches the page through textContent, never as markup.
(() => {
  const byId = (id) => document.getElementById(id), UNSAID = ["lost", "gained", "different"]; // told by what is shown
  const PAGE = 150, LONGEST_TABLE = 12_000_000, EXCERPT = 700, ASKED = 220;
  const holder = byId("samples-data");
  const names = holder ? { candidate: holder.dataset.candidate, reference: holder.dataset.reference } : {};
  const tabs = [...document.querySelectorAll("[data-tab]")];
  const state = { task: "", part: "", show: new Set(), q: "", sort: "loss", doc: "" };
  let data = null, words = {}, shown = [], drawn = 0, current = null;

  function make(tag, text, className) {
    const node = document.createElement(tag);
    if (text !== undefined && text !== null) node.textContent = text;
    if (className) node.className = className;
    return node;
  }
  function button(label, work, title) {
    const node = make("button", label);
    node.type = "button";
    if (title) node.title = title;
    node.addEventListener("click", work);
    return node;
  }
  const later = (work) => (window.requestIdleCallback || ((call) => setTimeout(call, 30)))(work);

  // --- tabs: #summary, #samples?..., #judge, #method, or anything inside of one

  function openTab(name) {
    for (const tab of tabs) tab.hidden = tab.dataset.tab !== name;
    for (const link of document.querySelectorAll("[data-shows]")) {
      if (link.dataset.shows === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  function route() {
    const [anchor, query] = location.hash.slice(1).split(/\?(.*)/s);
    if (anchor === "samples" && holder) {
      openTab("samples");
      if (data) follow(query || "");
      return;
    }
    let target = null;
    try { target = anchor ? byId(decodeURIComponent(anchor)) : null; } catch { target = null; }
    const tab = target && target.closest("[data-tab]");
    openTab(tab ? tab.dataset.tab : "summary");
    if (target && tab && target !== tab && target !== tab.querySelector("section")) target.scrollIntoView();
    else window.scrollTo(0, 0);
  }

  // --- the pairs

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
  const find = (key) => data.cards.find((card) => keyOf(card) === key);
  const has = (value) => value !== null && value !== undefined;
  const points = (value) => {
    const text = (value * 100).toFixed(1);
    return value > 0 && Number(text) !== 0 ? `+${text}` : text.replace("-", "−");
  };
  // A verdict of the judge is said in words: only a metric's difference is a number.
  const shift = (card) => (card.s && has(card.d) ? points(card.d) : "");
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const number = (value) => value.toLocaleString("en");

  function address(doc) {
    const query = new URLSearchParams();
    if (state.task) query.set("task", state.task);
    if (state.part) query.set("part", state.part);
    if (state.show.size) query.set("show", [...state.show].join(","));
    if (state.q) query.set("q", state.q);
    if (state.sort !== "loss") query.set("sort", state.sort);
    if (doc) query.set("doc", doc);
    const text = query.toString().replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%3A", ":");
    return text ? `#samples?${text}` : "#samples";
  }

  function follow(query) {
    const given = new URLSearchParams(query);
    state.task = data.tasks.includes(given.get("task")) ? given.get("task") : "";
    state.part = data.parts.includes(given.get("part")) ? given.get("part") : "";
    state.show = new Set((given.get("show") || "").split(",").filter((flag) => words[flag]));
    state.q = given.get("q") || "";
    state.sort = ["gain", "plan"].includes(given.get("sort")) ? given.get("sort") : "loss";
    state.doc = given.get("doc") || "";
    byId("query").value = state.q;
    byId("task").value = state.task;
    byId("part").value = state.part;
    byId("sort").value = state.sort;
    for (const chip of byId("chips").querySelectorAll("button")) {
      chip.setAttribute("aria-pressed", String(state.show.has(chip.dataset.flag)));
    }
    refresh(state.doc ? find(state.doc) || null : null);
    if (state.doc && !find(state.doc)) byId("status").textContent = `${state.doc} is not in this file.`;
  }

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

  function refresh(wanted) {
    const terms = fold(state.q).split(/\s+/).filter(Boolean);
    const found = data.cards.filter((card) =>
      (!state.task || data.tasks[card.t] === state.task) &&
      (!state.part || (card.a || []).some((part) => data.parts[part] === state.part)) &&
      terms.every((term) => haystack(card).includes(term)));
    const flags = count(found.flatMap((card) => card.f || []));
    for (const chip of byId("chips").querySelectorAll("button")) {
      chip.querySelector(".n").textContent = number(flags.get(chip.dataset.flag) || 0);
    }
    shown = found.filter((card) => !state.show.size || (card.f || []).some((flag) => state.show.has(flag)));
    sortShown();
    byId("list").replaceChildren();
    drawn = 0;
    drawMore();
    const all = number(data.cards.length);
    byId("status").textContent = shown.length === data.cards.length ? `${all} pairs`
      : `${number(shown.length)} of ${all} pairs${shown.length ? "" : ": nothing matches, remove a filter"}`;
    const next = wanted || (shown.includes(current) ? current : shown[0]);
    if (next) show(next);
    else byId("sample").replaceChildren();
  }

  function sortShown() {
    const plan = (a, b) => a.t - b.t || a.o - b.o, sign = state.sort === "gain" ? -1 : 1;
    shown.sort(state.sort === "plan" ? plan : (a, b) => {
      if (!has(a.d) || !has(b.d)) return (has(a.d) ? 0 : 1) - (has(b.d) ? 0 : 1) || plan(a, b);
      return sign * (a.d - b.d) || plan(a, b);
    });
  }

  function drawMore() {
    const rows = document.createDocumentFragment();
    for (const card of shown.slice(drawn, drawn + PAGE)) rows.append(listRow(card));
    byId("list").append(rows);
    drawn = Math.min(shown.length, drawn + PAGE);
    byId("more").hidden = drawn >= shown.length;
    byId("more").textContent = `Show more (${number(shown.length - drawn)} left)`;
  }

  const oneLine = (text, length) => text.replace(/\s+/g, " ").trim().slice(0, length) || "(empty)";
  function listRow(card) {
    const item = make("li"), link = make("a"), first = make("span", null, "first"), line = make("span", null, "line");
    link.href = address(keyOf(card));
    link.dataset.key = keyOf(card);
    first.append(make("span", `${data.tasks[card.t]} ${card.i}`));
    const flag = (card.f || []).find((one) => words[one] && !UNSAID.includes(one));
    const right = make("span", [shift(card), flag && words[flag].replace(/^judge:? /, "")].filter(Boolean).join(" · "));
    if (has(card.d) && card.d !== 0) right.className = card.d < 0 ? "drop" : "rise";
    first.append(right);
    if (card.g) line.append(make("span", oneLine(card.g, 60), "soft"), "→");
    line.append(make("span", oneLine(answer(card, "candidate"), 120)));
    link.append(first, line);
    item.append(link);
    return item;
  }

  function markCurrent() {
    for (const link of byId("list").querySelectorAll("a[aria-current]")) link.removeAttribute("aria-current");
    const link = current && byId("list").querySelector(`a[data-key="${CSS.escape(keyOf(current))}"]`);
    if (!link) return;
    link.setAttribute("aria-current", "true");
    const list = link.closest(".listing"), row = link.getBoundingClientRect(), box = list.getBoundingClientRect();
    if (row.top < box.top || row.bottom > box.bottom) list.scrollTop += row.top - box.top - box.height / 3;
  }

  function step(by) {
    const at = shown.indexOf(current);
    const next = shown[at < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, at + by))];
    if (!next || next === current) return;
    while (shown.indexOf(next) >= drawn) drawMore();
    history.replaceState(null, "", address(keyOf(next)));
    show(next);
  }

  function changed() {
    refresh(null);
    history.replaceState(null, "", address(""));
  }

  // --- what was asked: the end of what a prompt has of its own, in whole lines

  const common = new Map(); // by task: how many characters all its prompts begin and end with
  function sharedBy(task) {
    const prompts = new Set(data.cards.filter((card) => card.t === task).map((card) => data.prompts[card.p]));
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
  function asked(card) {
    if (!common.has(card.t)) common.set(card.t, sharedBy(card.t));
    const [start, end] = common.get(card.t), text = data.prompts[card.p];
    const from = text.lastIndexOf("\n", start - 1) + 1, to = text.indexOf("\n", Math.max(from, text.length - end));
    const lines = text.slice(from, to < 0 ? text.length : to).split("\n").map((line) => line.trim()).filter(Boolean);
    let said = lines.pop() || "";
    while (lines.length && said.length + lines.at(-1).length < ASKED) said = `${lines.pop()} ${said}`;
    return said.length > ASKED ? `${said.slice(0, ASKED)} […]` : said;
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

  // --- one pair

  // Characters that show nothing or turn the direction of text are made visible: an answer may be full of them.
  const HIDDEN = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u200B-\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/g;
  function addText(place, text) {
    let from = 0;
    for (const found of text.matchAll(HIDDEN)) {
      addHits(place, text.slice(from, found.index));
      const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      place.append(make("span", `U+${code}`, "hidden-character"));
      from = found.index + found[0].length;
    }
    addHits(place, text.slice(from));
  }

  // Where the search matches, letter by letter: a folded letter may be longer or shorter than what it stands for.
  function addHits(place, text) {
    const terms = fold(state.q).split(/\s+/).filter(Boolean);
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

  function textBox(text, label, className) {
    const box = make("div", null, `text ${className || ""}`.trim());
    box.dir = "auto";
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", label);
    if (text) addText(box, text); else box.append(make("em", "empty"));
    return box;
  }

  function answerBox(arm, card, both, label) {
    const box = textBox("", `Answer of the ${arm}${label}`, arm);
    if (!both) {
      if (answer(card, arm)) { box.replaceChildren(); addText(box, answer(card, arm)); }
      return box;
    }
    const [pieces, same] = both[arm];
    // White space is marked only between two words that are.
    for (let i = 0; i < pieces.length; i += 1) {
      if (!pieces[i].trim() && (same[i - 1] !== false || same[i + 1] !== false)) same[i] = true;
    }
    if (pieces.length) box.replaceChildren();
    for (let i = 0; i < pieces.length;) {
      let j = i, text = "";
      while (j < pieces.length && same[j] === same[i]) text += pieces[j++];
      const place = same[i] || !text.trim() ? box : box.appendChild(make("mark", null, arm));
      addText(place, text);
      i = j;
    }
    return box;
  }

  function scores(card, arm) {
    const side = arm === "candidate" ? 0 : 1;
    return Object.entries(card.s || {}).map(([metric, both]) => `${metric} ${points(both[side]).replace("+", "")}`).join(", ");
  }

  function column(arm, card, both, label) {
    const place = make("div"), who = make(label ? "p" : "h4", null, "who");
    const name = make("span", arm === "candidate" ? "Candidate" : "Reference");
    name.append(make("span", `: ${names[arm]}`, "whose"));
    who.append(name, make("span", scores(card, arm), "soft"));
    place.append(who, answerBox(arm, card, both, label));
    return place;
  }

  const differs = (card) => (card.c === undefined ? null : difference(answer(card, "reference"), answer(card, "candidate")));

  function judgeTable(card) {
    const table = make("table", null, "orders"), head = make("tr"), body = make("tbody"), top = make("thead");
    table.append(make("caption", "What the judge said"));
    for (const title of ["shown first", "verdict", "reason"]) {
      const cell = make("th", title);
      cell.scope = "col";
      head.append(cell);
    }
    top.append(head);
    for (const [order, first, second] of [["candidate_first", "candidate", "reference"], ["reference_first", "reference", "candidate"]]) {
      const row = make("tr"), name = make("th", first), verdict = (card.v || {})[order], reason = make("td");
      name.scope = "row";
      const said = { A: `A: the ${first}`, B: `B: the ${second}`, tie: "tie", invalid: "no verdict in the reply", refused: "refused" };
      addText(reason, (card.w || {})[order] || "–");
      row.append(name, make("td", said[verdict] || "not asked"), reason);
      body.append(row);
    }
    table.append(top, body);
    return table;
  }

  function show(card) {
    current = card;
    const place = byId("sample"), head = make("div", null, "sample-head"), tools = make("span", null, "tools");
    const title = make("h3", `${data.tasks[card.t]}, document ${card.i}`);
    title.id = "sample-title";
    for (const flag of card.f || []) if (flag !== "different") title.append(make("span", words[flag] || flag, "tag"));
    const copy = button("Copy JSON", () => copyCard(card, copy), "c");
    tools.append(button("← Previous", () => step(-1), "k"), " ", button("Next →", () => step(1), "j"), " ", copy);
    head.append(title, tools);
    const both = differs(card), answers = make("div", null, "answers");
    answers.append(column("reference", card, both, ""), column("candidate", card, both, ""));
    scrollTogether(...answers.querySelectorAll(".text"));
    const told = card.c === undefined ? "Both answers are the same." : both ? "" : "Too long to be compared.";
    const facts = [card.k && `from ${card.k}`, ...(card.a || []).map((part) => data.parts[part]), shift(card) && `difference ${shift(card)} points`, `hash ${card.h}`, told];
    const prompt = make("details"), back = make("a", "↑ Back to the list", "back");
    back.href = "#list";
    back.addEventListener("click", (event) => { event.preventDefault(); byId("browser").scrollIntoView(); });
    const fold = make("summary", "What both arms were asked");
    fold.append(make("span", asked(card), "asked"));
    prompt.append(fold, textBox(data.prompts[card.p], "Prompt"));
    place.replaceChildren(back, head, make("p", facts.filter(Boolean).join(" · "), "soft"));
    if (card.g) {
      const right = make("div", null, "right");
      right.append(make("h4", "Right answer"), textBox(card.g, "Right answer"));
      place.append(right);
    }
    place.append(answers);
    if (card.v) place.append(judgeTable(card));
    place.append(prompt);
    markCurrent();
  }

  // Two long answers are read side by side: as far down in one as in the other.
  function scrollTogether(one, other) {
    const follow = (from, to) => () => {
      const share = from.scrollTop / Math.max(1, from.scrollHeight - from.clientHeight);
      const wanted = share * (to.scrollHeight - to.clientHeight);
      if (Math.abs(to.scrollTop - wanted) > 2) to.scrollTop = wanted;
    };
    one.addEventListener("scroll", follow(one, other));
    other.addEventListener("scroll", follow(other, one));
  }

  function copyCard(card, told) {
    const row = { task: data.tasks[card.t], doc_id: card.i, doc_hash: card.h, cluster: card.k,
      strata: (card.a || []).map((part) => data.parts[part]), prompt: data.prompts[card.p],
      gold: card.g, reference: answer(card, "reference"), candidate: answer(card, "candidate"), difference: card.d,
      scores: card.s, flags: card.f, verdicts: card.v, reasons: card.w };
    const text = JSON.stringify(row, null, 1), done = () => { if (told) told.textContent = "Copied"; };
    const byHand = () => {
      const area = document.body.appendChild(make("textarea", text));
      area.select();
      document.execCommand("copy");
      area.remove();
      done();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, byHand); else byHand();
  }

  // --- the summary's examples

  function excerpt(text) {
    return text.length > EXCERPT ? `${text.slice(0, EXCERPT)} […]` : text;
  }
  function headings() {
    const row = make("div", null, "headings");
    for (const words of ["document and right answer", "reference", "candidate"]) row.append(make("span", words));
    return row;
  }
  function fillExamples() {
    for (const place of document.querySelectorAll(".examples:empty")) {
      for (const [task, hash] of JSON.parse(place.dataset.keys)) {
        const card = find(`${task}/${hash.slice(0, 12)}`);
        if (!card) continue;
        const short = { ...card, r: excerpt(card.r), ...(card.c === undefined ? {} : { c: excerpt(card.c) }) };
        const box = make("div", null, "example"), ask = make("p", null, "ask"), link = make("a", `document ${card.i}`);
        link.href = `#samples?${new URLSearchParams({ task, doc: keyOf(card) })}`;
        ask.append(link, card.g ? ": " : "");
        if (card.g) ask.append(make("span", oneLine(card.g, 200), "gold"));
        ask.append(make("span", asked(card), "asked"));
        const [order, reason] = Object.entries(card.w || {})[0] || [], first = order === "reference_first" ? "reference" : "candidate";
        if (reason) ask.append(make("span", `The judge, with the ${first} as A: ${oneLine(reason, 300)}`, "reason"));
        const answers = make("div", null, "answers"), label = `, ${task} ${card.i}`;
        const both = differs(short);
        answers.append(column("reference", short, both, label), column("candidate", short, both, label));
        if (short.r.length <= 110 && answer(short, "candidate").length <= 110) {
          box.classList.add("short");
          if (!place.children.length) place.append(headings());
        }
        box.append(ask, answers);
        place.append(box);
      }
    }
  }

  // --- the start

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const links = [...document.querySelectorAll("[data-shows]")];
    if (/^[1-4]$/.test(event.key) && links[event.key - 1]) location.hash = links[event.key - 1].hash;
    if (!data || byId("samples").closest("[data-tab]").hidden) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "c" && current) copyCard(current, byId("sample").querySelector(".tools button:last-child"));
    else if (event.key === "/") { event.preventDefault(); byId("query").focus(); }
  }

  function count(values) {
    const totals = new Map();
    for (const value of values) totals.set(value, (totals.get(value) || 0) + 1);
    return totals;
  }

  function start(content) {
    data = content;
    for (const card of data.cards) if (card.c !== undefined) card.f = [...(card.f || []), "different"];
    byId("samples-missing").hidden = true;
    byId("browser").hidden = false;
    const flags = count(data.cards.flatMap((card) => card.f || [])), tasks = count(data.cards.map((card) => card.t));
    for (const term of document.querySelectorAll(".meanings dt")) {
      const flag = term.dataset.flag;
      words[flag] = term.textContent;
      if (!flags.has(flag)) continue;
      const chip = button(`${words[flag]} `, () => {
        if (!state.show.delete(flag)) state.show.add(flag);
        chip.setAttribute("aria-pressed", String(state.show.has(flag)));
        changed();
      });
      chip.dataset.flag = flag;
      chip.setAttribute("aria-pressed", "false");
      chip.append(make("span", "", "n"));
      byId("chips").append(chip);
    }
    byId("task").append(new Option(`all (${number(data.cards.length)})`, ""));
    data.tasks.forEach((task, t) => byId("task").append(new Option(`${task} (${number(tasks.get(t) || 0)})`, task)));
    const parts = count(data.cards.flatMap((card) => card.a || []));
    byId("part").append(new Option("all", ""));
    data.parts.forEach((part, a) => byId("part").append(new Option(`${part} (${number(parts.get(a))})`, part)));
    byId("part").parentElement.hidden = !data.parts.length;
    byId("chips").hidden = !byId("chips").querySelector("button");
    let waiting = 0;
    byId("query").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { state.q = byId("query").value; changed(); }, 120);
    });
    for (const name of ["task", "part", "sort"]) byId(name).addEventListener("change", () => { state[name] = byId(name).value; changed(); });
    byId("more").addEventListener("click", drawMore);
    byId("list").addEventListener("click", (event) => {
      if (event.target.closest("a")) setTimeout(() => {
        byId("sample").focus({ preventScroll: true });
        if (window.innerWidth <= 832) byId("sample").scrollIntoView();
      }, 50);
    });
    refresh(null);
    route();
    later(fillExamples);
    later(() => prepareSearch(0));
    document.documentElement.dataset.samples = "ready";
  }

  window.addEventListener("hashchange", route);
  document.addEventListener("keydown", keys);
  window.addEventListener("beforeprint", () => {
    if (data) fillExamples();
    for (const part of document.querySelectorAll("#verdict details, #warnings details")) part.open = true;
  });
  route();
  if (holder) {
    unpack().then(start).catch((error) => {
      byId("samples-missing").textContent = `${error.message} ${byId("samples-missing").textContent}`;
    });
  }
})();
