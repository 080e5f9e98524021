// Tabs, and the browser of pairs. Every text of a run reaches the page through textContent, never as markup.
(() => {
  const byId = (id) => document.getElementById(id), UNSAID = ["lost", "gained", "different"]; // told by what is shown
  const { make, fold, oneLine, excerpt, points, shared, difference } = texts, PAGE = 150;
  const holder = byId("samples-data");
  const names = holder ? { candidate: holder.dataset.candidate, reference: holder.dataset.reference } : {};
  const tabs = [...document.querySelectorAll("[data-tab]")];
  const state = { task: "", part: "", show: new Set(), q: "", sort: "loss", doc: "" };
  let data = null, words = {}, shown = [], drawn = 0, current = null;

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
  // A verdict of the judge is said in words: only a metric's difference is a number.
  const shift = (card) => (card.s && has(card.d) ? points(card.d) : "");
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

  // --- one pair

  const common = new Map(); // by task: what its prompts share
  function asked(card) {
    if (!common.has(card.t)) {
      common.set(card.t, shared(new Set(data.cards.filter((one) => one.t === card.t).map((one) => data.prompts[one.p]))));
    }
    return texts.asked(data.prompts[card.p], common.get(card.t));
  }
  const addText = (place, text) => texts.addText(place, text, state.q);

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
    // White space is marked only between two marked words.
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
    const told = card.c === undefined ? "Both answers are the same." : both ? "" : "Too long to compare.";
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

  // Two long answers scroll together, side by side.
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
