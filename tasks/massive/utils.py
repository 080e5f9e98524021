"""massive_scenario_fr: which of 18 scenarios a request to a voice assistant belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lm_eval_fr.tasklib.documents import SEED, Settings, as_dataset, read_records, require_unique, spread_over_labels
from lm_eval_fr.tasklib.metrics import label_scores
from lm_eval_fr.tasklib.records import Record
from lm_eval_fr.tasklib.shots import with_shots
from lm_eval_fr.tasklib.votes import label_vote_scores

if TYPE_CHECKING:
    import datasets

TASK = "massive_scenario_fr"
# "general", "qa", "play" and "music" overlap in everyday use: the definitions follow the intents behind each scenario.
LABELS = {
    "alarm": "alarmes et réveils à programmer, consulter ou supprimer",
    "audio": "volume et son de l'appareil : monter, baisser, couper",
    "calendar": "agenda : rendez-vous, événements et rappels",
    "cooking": "recettes et conseils de cuisine",
    "datetime": "date, heure et fuseaux horaires",
    "email": "courriels et contacts : lire, envoyer, chercher, ajouter",
    "general": "conversation avec l'assistant : salutation, plaisanterie, remarque sans demande précise",
    "iot": "objets connectés de la maison : lumière, prise, aspirateur, machine à café",
    "lists": "listes (courses, tâches) à créer, consulter ou modifier",
    "music": "goûts, réglages et informations sur la musique, sans demande de lecture",
    "news": "actualités",
    "play": "lancer une lecture : musique, radio, podcast, livre audio, jeu",
    "qa": "question de connaissance : fait, définition, calcul, devise, cours de bourse",
    "recommendation": "suggestion de lieux, d'événements ou de films",
    "social": "réseaux sociaux : publier ou consulter",
    "takeaway": "repas à emporter ou livrés : commander, suivre la commande",
    "transport": "trajets, circulation, taxis et billets de transport",
    "weather": "météo",
}
LISTED = "\n".join(f"- {label} : {meaning}" for label, meaning in LABELS.items())


def load(**given: Any) -> dict[str, datasets.Dataset]:
    settings = Settings.read(TASK, given)
    records = read_records(settings)
    documents = [read_document(record) for record in records]
    require_unique(records, [document["id"] for document in documents])
    return {"test": process_docs(as_dataset(settings, documents), settings.seed)}


def load_shots(**given: Any) -> dict[str, datasets.Dataset]:
    """The same documents, each with two solved ones."""
    docs, seed = load(**given)["test"], Settings.read(TASK, given).seed
    examples = [{"text": doc["text"], "answer": doc["label_text"]} for doc in docs]
    keys = [str(doc["id"]) for doc in docs]
    return {"test": with_shots(docs, examples, keys, keys, seed)}


def process_docs(dataset: datasets.Dataset, seed: int = SEED) -> datasets.Dataset:
    """Each text once, every prefix with about the whole's share of each label."""
    first: dict[str, int] = {}
    for index, text in enumerate(dataset["text"][:]):
        first.setdefault(text, index)
    dataset = dataset.select(list(first.values()))
    return dataset.select(spread_over_labels(dataset["id"][:], dataset["label_text"][:], seed))


def read_document(record: Record) -> dict[str, Any]:
    label = record.text("label_text")
    if label not in LABELS:
        raise record.error(f'unknown scenario "{label}"', f"the scenarios are: {', '.join(LABELS)}")
    return {"id": record.identifier("id"), "text": record.text("text"), "label_text": label}


def doc_to_text(doc: Mapping[str, Any]) -> str:
    return (
        "Voici une demande faite à un assistant vocal. Classe-la dans une seule des catégories suivantes :\n"
        f"{LISTED}\n\n"
        f"Demande : {doc['text'].strip()}\n\n"
        "Réponds par le seul nom de la catégorie, tel qu'il est écrit avant les deux-points.\n\n"
        "Catégorie :"
    )


def doc_to_text_with_shots(doc: Mapping[str, Any]) -> str:
    solved = [f"Demande : {shot['text'].strip()}\nCatégorie : {shot['answer']}\n\n" for shot in doc["shots"]]
    return (
        "Chaque demande faite à un assistant vocal est classée dans une seule des catégories suivantes :\n"
        f"{LISTED}\n\n"
        f"{''.join(solved)}"
        f"Demande : {doc['text'].strip()}\nCatégorie :"
    )


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return label_scores(results[0] or "", doc["label_text"], LABELS)


def process_votes(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    return label_vote_scores(results, doc["label_text"], LABELS)
