# Holds every example of a component against its schema. One argument: the OpenAPI document.
import json
import sys

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

with open(sys.argv[1]) as file:
    document = json.load(file)
resource = Resource.from_contents(document, default_specification=DRAFT202012)
registry = Registry().with_resource("document", resource)
wrong = checked = 0
for name, schema in document["components"]["schemas"].items():
    validator = Draft202012Validator({"$ref": f"document#/components/schemas/{name}"}, registry=registry)
    for example in schema.get("examples", []) if isinstance(schema, dict) else []:
        checked += 1
        for error in validator.iter_errors(example):
            wrong += 1
            print(f"{name}: {error.json_path}: {error.message}")
print(f"{checked} examples")
sys.exit(1 if wrong or not checked else 0)
