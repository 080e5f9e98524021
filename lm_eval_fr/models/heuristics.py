"""Answers found by word overlap alone. Weak on purpose, but real: they come only from the text."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from lm_eval_fr.models.french_prompt import Task

STEM = 6  # letters: enough to bring together most French inflections of a word
STOP = frozenset(
    re.findall(
        r"\w+",
        """
    a ai alors an ans apres au aucun aussi autre aux avait avant avec avoir bien c car ce cela celle celui ces
    cet cette ceux chaque ci comme comment d dans de depuis des deux dont du elle elles en encore entre est et
    etaient etait ete etre eu fait font fut il ils j je jusqu l la le les leur leurs lors m ma mais me meme mes
    mon n ne ni nom nos notre nous on ont or ou par parmi pas pendant peu peut plus plusieurs pour pourquoi qu
    quand que quel quelle quelles quels qui quoi s sa sans se selon ses si sient son sont sous sur t ta te tes
    toi ton tous tout toute toutes tres tu un une vers vos votre vous y combien lequel laquelle
""",
    )
)
FIELDS = (  # words of one field: a text that has one and a label that has another may belong together
    "sport match équipe joueur course victoire championnat olympique jeux tournoi ballon athlète entraîneur médaille",
    "science technique scientifique chercheur théorie expérience cellule physique chimie énergie étoile ordinateur",
    "voyage tourisme touriste visiteur hôtel vol avion bagage billet destination plage séjour croisière visa aéroport",
    "politique gouvernement président élection parti loi ministre guerre armée parlement conflit accord roi vote",
    "santé médecine maladie médecin hôpital patient virus traitement blessé symptôme vaccin infection corps médicament",
    "divertissement spectacle média film musique acteur chanson série concert télévision album artiste cinéma",
    "géographie ville île montagne rivière lac océan pays région km territoire désert côte nord sud vallée superficie",
    "alarme réveil réveille sonner minuteur",
    "musique chanson chanter jouer morceau playlist écouter artiste album volume",
    "météo temps pluie pleuvoir soleil température neige parapluie degrés chaud froid vent",
    "agenda calendrier rappel rendez-vous réunion événement anniversaire planning rappelle",
    "mail email courriel message boîte envoyer écrire répondre réception contact",
    "lumière lampe maison éteindre allumer aspirateur prise café cafetière domotique objets connectés couleur",
    "cuisine recette cuire plat ingrédient gâteau cuisson préparer four",
    "liste courses ajouter supprimer tâches articles",
    "transport train taxi bus trafic trajet route circulation billet métro",
    "nouvelles actualité journal informations titres",
    "réseau social tweet twitter facebook publier statut poster",
    "jeu jouer partie échecs cartes",
    "restaurant commander pizza livraison emporter repas manger commande",
    "recommander événement restaurant cinéma proche",
    "question réponse définition monnaie bourse change mot signifie calcul combien savoir",
    "heure fuseau date jour horloge",
    "radio podcast livre audio lecture station lire épisode",
    "bonjour blague salut merci drôle raconte bavardage",
)
ABBREVIATION = re.compile(r"(?:\b(?:M|MM|Mme|Mlle|Dr|St|Ste|art|av|apr|env|etc|p|vol|n[o°])|\b[A-ZÉÈ])\.$")
NAME = re.compile(
    r"(?:[A-ZÀ-ÖØ-Þ][\w’'-]+|[A-Z]{2,})(?:[ \u00a0](?:(?:de|du|des|la|le|les|d[’']|von|van|et|en|sur)[ \u00a0]?){0,2}"
    r"(?:[A-ZÀ-ÖØ-Þ][\w’'-]+|[A-Z]{2,}))*"
)
MONTHS = "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"
DATE = re.compile(rf"(?:(?:1er|\d{{1,2}})[ \u00a0])?(?:{MONTHS})[ \u00a0]\d{{4}}|\b[12]\d{{3}}\b")
NUMBER = re.compile(r"\d[\d \u00a0\u202f.,]*(?:%|[ \u00a0][a-zéèêà²³°%]{2,})?")
INTEGER = re.compile(r"[0-9]{1,3}(?:[ \u00a0\u202f,][0-9]{3})+(?![0-9])|[0-9]{1,9}")
ORGANISATION = re.compile(
    r"\b(?:Institut|École|Université|Fédération|Compagnie|Société|Coopérative|Association|Club|[A-Z]{3,})\b"
)
ELISION = re.compile(r"^(?:[LDJMNSTC]|Qu|Jusqu|Lorsqu|Puisqu)[’']", re.IGNORECASE)


def answer(task: Task) -> str:
    """The answer of a reader without any understanding."""
    if task.kind == "classification":
        return choose_label(task.passage, task.labels)
    if task.kind == "extraction":
        return json.dumps(list_names(task.passage), ensure_ascii=False)
    if task.kind == "object":
        return json.dumps(typed_names(task.passage), ensure_ascii=False)
    if task.kind == "calculation":
        return calculate(task.passage)
    if task.kind == "analysis":
        return analyse(task.passage, task.instruction)
    return find_span(task.passage, task.question or task.instruction)


def find_span(passage: str, question: str) -> str:
    """The date, number, name or word group of the passage that is nearest to the question's words."""
    sentences = split_sentences(passage)
    if not sentences:
        return ""
    wanted, weights = set(stems(question)), _weights(sentences)
    best = max(sentences, key=lambda sentence: sum(weights[stem] for stem in wanted & set(stems(sentence))))
    spans = _candidates(best, question) or [best.strip(" .")]
    hits = [match.start() for match in re.finditer(r"\w+", best) if set(stems(match[0])) & wanted]
    centre = sum(hits) / len(hits) if hits else 0.0
    return min(spans, key=lambda span: abs(best.find(span) + len(span) / 2 - centre))


def choose_label(text: str, labels: Mapping[str, str]) -> str:
    """The label whose name, definition and field share most words with the text; the first of equals."""
    found = set(stems(text))
    meanings = {label: set(stems(f"{label} {definition}")) for label, definition in labels.items()}
    fields = [set(stems(field)) for field in FIELDS]
    spread = Counter(stem for meaning in meanings.values() for stem in meaning)

    def score(label: str) -> float:
        meaning = meanings[label]
        direct = sum(1 / spread[stem] for stem in found & meaning)
        related = sum(len(found & field) * min(2, len(meaning & field)) for field in fields)
        return 2 * direct + related / 2

    return max(labels, key=score)


def list_names(text: str) -> list[str]:
    """Capitalised spans in order, each once; a sentence's first word only where it is not a common one."""
    names: dict[str, None] = {}
    for sentence in split_sentences(text):
        for match in NAME.finditer(sentence):
            name = ELISION.sub("", match[0])
            first, _, rest = name.partition(" ")
            if match.start() <= 1 and (set(stems(first)) == set() or not rest):
                proper = stems(first) and re.search(rf"(?<=[a-zé,] ){re.escape(first)}\b", text)
                name = name if proper else rest
            if len(name) > 1:
                names[name] = None
    return list(names)


def typed_names(text: str) -> dict[str, object]:
    """The object of `structured_fr`: a name's type is guessed from its own words and the word before it."""
    entries = [{"nom": name, "type": _type_of(name, text)} for name in list_names(text)]
    types = [entry["type"] for entry in entries]
    return {"entites": entries, "comptes": {kind: types.count(kind) for kind in ("personne", "lieu", "organisation")}}


def _type_of(name: str, text: str) -> str:
    if ORGANISATION.search(name):
        return "organisation"
    placed = re.search(rf"\b(?:à|en|vers|entre|près de|sur)\s+{re.escape(name)}", text)
    return "personne" if " " in name and not placed else "lieu"


def calculate(problem: str) -> str:
    """The product of the problem's first two numbers: a guess without understanding."""
    numbers = [int(re.sub(r"\D", "", match[0])) for match in INTEGER.finditer(problem)]
    product = math.prod(numbers[:2]) if numbers else 0
    return f"Il faut multiplier {' par '.join(map(str, numbers[:2]))}.\nRéponse : {product}"


def analyse(text: str, instruction: str) -> str:
    """Sentences of the text, chosen for the analysis that the instruction names."""
    sentences = split_sentences(text)
    asked = instruction.lower()
    if not sentences:
        return ""
    if "affirmation" in asked or "vérifiab" in asked:
        stated = [s for s in sentences if DATE.search(s) or NUMBER.search(s)] or sentences
        return "\n".join(f"- {s}" for s in stated[:6])
    if "entit" in asked:
        counted = Counter(name for s in sentences for name in list_names(s)).most_common(8)
        first = {name: next((s for s in sentences if name in s), "") for name, _ in counted}
        return "\n".join(f"- {name} : {sentence}" for name, sentence in first.items())
    if "trois points" in asked or "points" in asked:
        return "\n".join(f"{n}. {s}" for n, s in enumerate(_central(sentences, 3), 1))
    if "expliqu" in asked or "vulgaris" in asked or "profane" in asked:
        openings = [split_sentences(part)[0] for part in text.split("\n") if split_sentences(part)]
        chosen = openings if len(openings) >= 3 else _central(sentences, max(4, len(sentences) // 6))
        return "En termes simples : " + " ".join(chosen[:8])
    return " ".join(_central(sentences, max(3, len(sentences) // 5)))


def split_sentences(text: str) -> list[str]:
    """Sentences without the white space around them; abbreviations and initials do not end one."""
    sentences: list[str] = []
    held = ""
    for part in re.split(r"(?<=[.!?…])[ \u00a0]+(?=[«\"(A-ZÀ-ÖØ-Þ0-9])|\n+", text):
        held = f"{held} {part}".strip() if held else part.strip()
        if held and not ABBREVIATION.search(held):
            sentences.append(held)
            held = ""
    return [*sentences, held] if held else sentences


def stems(text: str) -> list[str]:
    """Words that carry meaning: without accents, cut to their first letters."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return [word[:STEM] for word in re.findall(r"[a-z0-9]+", plain) if word not in STOP]


def _weights(sentences: Sequence[str]) -> Counter[str]:
    spread = Counter(stem for sentence in sentences for stem in set(stems(sentence)))
    weights: Counter[str] = Counter()
    for stem, count in spread.items():
        weights[stem] = math.log(1 + len(sentences) / count)  # type: ignore[assignment]
    return weights


def _candidates(sentence: str, question: str) -> list[str]:
    asked = question.lower()
    known = set(stems(question))
    if re.search(r"quand|année|date|siècle|jour", asked) and (dates := DATE.findall(sentence)):
        return [date for date in dates if date not in question] or dates
    if re.search(r"combien|nombre|âge|taux|pourcentage|superficie|taille|hauteur|prix", asked):
        numbers = [match[0].strip(" .,\u00a0") for match in NUMBER.finditer(sentence)]
        if fresh := [number for number in numbers if number not in question]:
            return fresh
    names = [ELISION.sub("", match[0]) for match in NAME.finditer(sentence) if match.start() > 1]
    fresh = [name for name in names if not set(stems(name)) <= known]
    return fresh if fresh and re.search(r"\bqui\b|\boù\b|quel|nom|comment s", asked) else _groups(sentence, known)


def _groups(sentence: str, known: set[str]) -> list[str]:
    """Runs of words between punctuation and the words of the question."""
    groups = []
    for clause in re.split(r"[,;:()«»\"]|\.\s", sentence):
        run: list[str] = []
        for word in [*clause.split(), ""]:
            if word and not set(stems(word)) & known:
                run.append(word)
                continue
            if stems(" ".join(run)):
                groups.append(" ".join(run[:8]).strip(" ."))
            run = []
    return groups


def _central(sentences: Sequence[str], count: int) -> list[str]:
    """The sentences that share most with the rest, in the order of the text."""
    common = Counter(stem for sentence in sentences for stem in set(stems(sentence)))

    def weight(index: int) -> float:
        found = set(stems(sentences[index]))
        return sum(common[stem] - 1 for stem in found) / (8 + len(found))

    chosen = sorted(range(len(sentences)), key=weight, reverse=True)[:count]
    return [sentences[index] for index in sorted(chosen)]
