"""The description of the server's interface in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), for this model."""

from __future__ import annotations

from typing import Any

from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.models.spec import BundleSpec
from tlkit.serving.limits import MEGABYTE, Limits
from tlkit.serving.model import MASK_PX
from tlkit.tasks import find_task
from tlkit.tasks.predictions import BOX_COLUMNS
from tlkit.version import __version__

Schema = dict[str, Any]

FRACTION: Schema = {"type": "number", "minimum": 0, "maximum": 1}
TEXT: Schema = {"type": "string"}
SIZE: Schema = {"height": {"type": ["integer", "null"]}, "width": {"type": ["integer", "null"]}}
PICTURE: Schema = {"type": "string", "description": "A picture as a data: address."}
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["found", "expected", "fix"],
            "properties": {"found": TEXT, "expected": TEXT, "fix": TEXT},
        }
    },
}
REFUSALS = {
    "400": "The request is not valid.",
    "401": "The token is missing or wrong.",
    "403": "The request comes from a page of another site.",
    "408": "The body came too slowly.",
    "413": "The body is too large, or has too many images.",
    "415": "The body has a type that is not known.",
    "421": "The request is for another host.",
    "503": "The queue is full; Retry-After says when to try again.",
}


def describe_api(spec: BundleSpec, limits: Limits) -> Schema:
    """Return the document.

    Args:
        spec: The model's description.
        limits: The limits of the server.
    """
    answers = {
        "200": _answer("One row for each image, in their order.", _describe_predictions(spec)),
        **{status: _answer(meaning, ERROR) for status, meaning in REFUSALS.items()},
        "422": _answer("No image could be read.", ERROR),
    }
    predict: Schema = {
        "summary": "Predict images.",
        "operationId": "predict",
        "parameters": [
            {
                "name": "top_k",
                "in": "query",
                "description": "Classes to list for each image.",
                "schema": {"type": "integer", "minimum": 1, "default": 3},
            },
            *_describe_min_score(spec),
            *_describe_columns(spec),
        ],
        "requestBody": {"required": True, "content": describe_bodies(spec)},
        "responses": answers,
    }
    explain = {
        **predict,
        "summary": "Predict an image and explain the answer.",
        "operationId": "explain",
        "responses": answers | {"200": _answer("The prediction and what speaks for it.", _describe_explanation(spec))},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tlkit serve",
            "version": __version__,
            "description": f"Predictions of a model: {spec.backbone}, {spec.task}. A request has at most "
            f"{limits.max_images} images and {limits.max_body_bytes // MEGABYTE} MB.",
        },
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
        "paths": {
            "/predict": {"post": predict},
            "/explain": {"post": explain},
            "/info": {"get": _get("The model and the limits.", "info", "application/json")},
            "/health": {"get": _get("Whether the server runs.", "health", "application/json")},
            "/metrics": {"get": _get("Counters in the text format of Prometheus.", "metrics", "text/plain")},
            "/openapi.json": {"get": _get("This document.", "openapi", "application/json")},
        },
    }


def describe_bodies(spec: BundleSpec) -> Schema:
    """Return the bodies that a request may have, by type."""
    columns = {name: {"type": ["string", "number", "boolean", "null"]} for name in _list_columns(spec)}
    image: Schema = {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "string", "contentEncoding": "base64"},
            "name": TEXT,
            "metadata": {"type": "object", "properties": columns, "additionalProperties": False},
        },
        "additionalProperties": False,
    }
    form: Schema = {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "array", "items": {"type": "string", "contentMediaType": "image/*"}},
            **dict.fromkeys(columns, TEXT),
        },
    }
    several: Schema = {
        "type": "object",
        "required": ["images"],
        "properties": {"images": {"type": "array", "minItems": 1, "items": image}},
    }
    return {
        "multipart/form-data": {"schema": form},
        "image/*": {"schema": {}},
        "application/json": {"schema": {"oneOf": [several, image]}},
    }


def _describe_min_score(spec: BundleSpec) -> list[Schema]:
    if not find_task(spec.task).lists_objects:
        return []
    meaning = "Objects with lower scores are left out; by default the model has a threshold for each class."
    return [{"name": "min_score", "in": "query", "description": meaning, "schema": FRACTION}]


def _describe_columns(spec: BundleSpec) -> list[Schema]:
    return [
        {"name": name, "in": "query", "description": "Metadata of all images of the request.", "schema": TEXT}
        for name in _list_columns(spec)
    ]


def _list_columns(spec: BundleSpec) -> list[str]:
    return [name for name in spec.metadata.names if name not in IMAGE_FACTS]


def _describe_predictions(spec: BundleSpec) -> Schema:
    return {
        "type": "object",
        "required": ["predictions", "errors"],
        "properties": {
            "predictions": {"type": "array", "items": _describe_row(spec)},
            "errors": {"type": "integer", "description": "Images that could not be read."},
            "notices": {"type": "array", "items": TEXT, "description": "Metadata that are missing or odd."},
        },
    }


def _describe_explanation(spec: BundleSpec) -> Schema:
    photo = {"name": TEXT, "answer": TEXT, "cosine": {"type": "number"}, "picture": PICTURE}
    return {
        "type": "object",
        "required": ["prediction", "size", "picture", "explanations", "nearest"],
        "properties": {
            "prediction": _describe_row(spec),
            "size": {"type": "array", "items": {"type": "integer"}, "description": "Height and width in pixels."},
            "picture": PICTURE,
            "explanations": {
                "type": "array",
                "items": {"type": "object", "properties": {"output": TEXT, "map": PICTURE}},
            },
            "nearest": {"type": "array", "items": {"type": "object", "properties": photo}},
            "notices": {"type": "array", "items": TEXT},
        },
    }


def _describe_row(spec: BundleSpec) -> Schema:
    """Return the schema of a row, as `tlkit.inference.tally.describe_prediction` makes it."""
    task = find_task(spec.task)
    properties: Schema = {"path": TEXT}
    if task.lists_objects:
        properties |= _describe_objects(spec)
    elif task.has_masks:
        properties |= _describe_areas(spec)
    elif not task.has_names:
        properties["value"] = {"type": ["number", "null"], "description": spec.target.name if spec.target else ""}
    else:
        named = {"class_name": {"type": "string", "enum": list(spec.class_names)}, "probability": FRACTION}
        properties["classes"] = {"type": "array", "items": {"type": "object", "properties": named}}
    if task.has_labels:
        properties["labels"] = {"type": "array", "items": {"type": "string", "enum": list(spec.class_names)}}
    properties["error"] = {"type": ["string", "null"], "description": "Why the image could not be read."}
    if spec.measures_distance:
        properties |= {"unknown": {"type": "boolean"}, "distance": FRACTION}
    if spec.has_box:
        edges: Schema = {name: {"type": "number"} for name in BOX_COLUMNS}
        properties["box"] = {"type": "object", "properties": edges, "description": "Pixels of the upright image."}
    return {"type": "object", "required": ["path", "error"], "properties": properties}


def _describe_objects(spec: BundleSpec) -> Schema:
    found = {
        "class_name": {"type": "string", "enum": list(spec.class_names)},
        "score": FRACTION,
        **{name: {"type": "number"} for name in BOX_COLUMNS},
    }
    return {
        "objects": {
            "type": "array",
            "items": {"type": "object", "required": list(found), "properties": found},
            "description": "Best first, with corners in pixels of the upright image, whose size is width and height.",
        },
        **SIZE,
    }


def _describe_areas(spec: BundleSpec) -> Schema:
    taken = {"class_name": {"type": "string", "enum": list(spec.class_names)}, "share": FRACTION}
    return {
        "areas": {
            "type": "array",
            "items": {"type": "object", "required": list(taken), "properties": taken},
            "description": "The share of the upright image, whose size is width and height, that each class takes.",
        },
        "mask": {
            "type": "string",
            "description": "The mask over the upright image, a PNG file with a palette as a data: address, with at most "
            f"{MASK_PX} pixels along its longer edge. Pixels are 0 for background, 1 for the first class, and 255 where "
            "the model does not see the image.",
        },
        **SIZE,
    }


def _answer(meaning: str, schema: Schema) -> Schema:
    return {"description": meaning, "content": {"application/json": {"schema": schema}}}


def _get(summary: str, name: str, kind: str) -> Schema:
    return {
        "summary": summary,
        "operationId": name,
        "responses": {"200": {"description": summary, "content": {kind: {"schema": {}}}}},
    }
