"""Cuts the published descriptions of two APIs down to what is asked and sent here.

    git -C atlas-sdk-go show 68a9d51c470a:openapi/atlas-api-transformed.yaml > atlas.yaml    github.com/mongodb/atlas-sdk-go, Apache-2.0
    git -C docs show ef0ce4387f72:devops/developer-api/openapi.yml > upstash.yaml           github.com/upstash/docs, Apache-2.0 by its own word
    python3 cut.py atlas.yaml atlas > atlas.json; python3 cut.py upstash.yaml upstash > upstash.json      needs PyYAML

Bodies, parameters and successful answers are as published, with all that they refer to; prose goes, but where it lists words.
"""

import json
import sys

import yaml

GROUP = "/api/atlas/v2/groups/{groupId}"
CLUSTER = GROUP + "/clusters/{clusterName}"
KEPT = {
    "atlas": {
        "/api/atlas/v2/groups": ["post"],
        "/api/atlas/v2/groups/byName/{groupName}": ["get"],
        GROUP: ["get"],
        GROUP + "/clusters": ["post"],
        CLUSTER: ["get"],
        GROUP + "/accessList": ["get", "post"],
        GROUP + "/accessList/{entryValue}/status": ["get"],
        GROUP + "/customDBRoles/roles": ["post"],
        GROUP + "/customDBRoles/roles/{roleName}": ["get", "patch"],
        GROUP + "/databaseUsers": ["get", "post"],
        GROUP + "/databaseUsers/{databaseName}/{username}": ["patch", "delete"],
        CLUSTER + "/backup/schedule": ["get", "patch"],
        CLUSTER + "/backup/snapshots": ["get", "post"],
    },
    "upstash": {
        "/redis/databases": ["get"],
        "/redis/database": ["post"],
        "/redis/database/{id}": ["get", "delete"],
        "/redis/enable-tls/{id}": ["post"],
        "/redis/enable-eviction/{id}": ["post"],
        "/redis/disable-eviction/{id}": ["post"],
        "/redis/update-budget/{id}": ["patch"],
        "/redis/enable-dailybackup/{id}": ["patch"],
        "/redis/reset-password/{id}": ["post"],
        "/redis/list-backup/{id}": ["get"],
        "/redis/create-backup/{id}": ["post"],
        "/redis/restore-backup/{id}": ["post"],
    },
}
NOISE = {"example", "examples", "externalDocs", "title", "links", "discriminator", "tags"}
WORDS = {"providerName", "STATUS", "stateName"}


class Plain(yaml.CSafeLoader):
    """Dates stay texts: some keys are dates."""


Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def plain(value, name="", names=False):
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        if not names and (key in NOISE or key.startswith("x-") or (key == "description" and name not in WORDS)):
            continue
        kept[key] = plain(item, key if names else name if key in ("items",) else "", key == "properties" and not names)
    return kept


def main(source, which):
    with open(source, encoding="utf-8") as file:
        whole = yaml.load(file, Loader=Plain)
    cut = {"openapi": whole["openapi"], "info": {"title": whole["info"]["title"]}, "paths": {}, "components": {}}

    def refer(value):
        if isinstance(value, list):
            for item in value:
                refer(item)
        if not isinstance(value, dict):
            return
        target = value.get("$ref")
        if isinstance(target, str):
            _, _, section, name = target.split("/")
            there = cut["components"].setdefault(section, {})
            if name not in there:
                there[name] = plain(whole["components"][section][name])
                refer(there[name])
        for item in value.values():
            refer(item)

    for path, methods in KEPT[which].items():
        cut["paths"][path] = {}
        for method in methods:
            operation = whole["paths"][path][method]
            kept = {key: plain(operation[key]) for key in ("operationId", "parameters", "requestBody") if key in operation}
            kept["responses"] = {
                code: plain(answer) if code.startswith("2") else {} for code, answer in operation["responses"].items()
            }
            cut["paths"][path][method] = kept
            refer(kept)
    print(json.dumps(cut, indent=1, ensure_ascii=False))


main(*sys.argv[1:])
