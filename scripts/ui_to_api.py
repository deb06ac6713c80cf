"""A saved workflow (UI format, as ComfyUI's Save writes it) as the prompt that the server executes, without a browser.

The rules are those of the front end's own `graphToPrompt`: widget values by position, links followed through reroutes,
primitives, bypassed nodes and subgraphs, muted nodes left out. The tests compare both for every workflow of the pack.
"""

MUTED, BYPASSED = 2, 4
SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = -10, -20
NOTES = ("Note", "MarkdownNote")
MAX_GRAPHS = 2000  # instances of subgraphs; a few that contain each other would unfold without end
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def to_prompt(workflow: dict, object_info: dict) -> dict:
    """`workflow` as a prompt: {node id: {"class_type", "inputs", "_meta": {"title"}}}.

    object_info: the server's `/object_info`. A workflow that is a prompt already is returned unchanged. Raises
    ValueError for a node type that the server does not know, and for something that is no workflow.
    """
    if _is_prompt(workflow):
        return workflow
    if not isinstance(workflow, dict) or "nodes" not in workflow:
        raise ValueError("this file holds no ComfyUI workflow: expected one saved with Save or with Export (API)")
    try:
        subgraphs = {s["id"]: s for s in workflow.get("definitions", {}).get("subgraphs", [])}
        prompt = dict(_Graph(workflow, object_info, subgraphs).prompt())
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(
            f"this workflow is damaged ({type(error).__name__}: {error}): open it in ComfyUI and save it again"
        ) from error
    for node in prompt.values():  # a link to something that does not run is no link
        node["inputs"] = {k: v for k, v in node["inputs"].items() if not (_is_link(v) and v[0] not in prompt)}
    return prompt


def _is_prompt(workflow) -> bool:
    if not isinstance(workflow, dict) or not workflow:
        return False
    return all(isinstance(node, dict) and "class_type" in node for node in workflow.values())


def _is_link(value) -> bool:
    return isinstance(value, list) and len(value) == 2


def widget_inputs(schema: dict) -> list[tuple[str, list]]:
    """(name, specification) of the inputs that have a widget, in the order in which a workflow stores their values."""
    return [(name, spec) for name, spec in _inputs(schema) if _has_widget(spec)]


def _inputs(schema: dict) -> list[tuple[str, list]]:
    groups = schema["input"]
    order = schema.get("input_order") or {group: list(groups[group]) for group in groups}
    return [(n, groups[group][n]) for group in ("required", "optional") for n in order.get(group, [])]


def _options(spec) -> dict:
    return spec[1] if len(spec) > 1 else {}


def _has_widget(spec) -> bool:
    options = _options(spec)
    kind = options.get("widgetType", spec[0])
    return (isinstance(kind, list) or kind in WIDGET_TYPES) and not options.get("forceInput")


def _extra_values(name: str, spec) -> int:
    """Values that a widget stores after its own: "control after generate", and a combo's filter."""
    control = _options(spec).get("control_after_generate", spec[0] == "INT" and name in ("seed", "noise_seed"))
    if not control:
        return 0
    return 1 if spec[0] == "INT" else 2


class _Graph:
    """One level of a workflow: the root, or one instance of a subgraph (`instance`, a node of the level `parent`)."""

    def __init__(self, data, object_info, subgraphs, parent=None, instance=None, path=""):
        self.info, self.subgraphs = object_info, subgraphs
        self.parent, self.instance, self.path = parent, instance, path
        self.made = parent.made if parent else [0]
        self.made[0] += 1
        if self.made[0] > MAX_GRAPHS:
            raise ValueError(f"this workflow unfolds to more than {MAX_GRAPHS} subgraphs: save it with fewer")
        self.data, self.nodes = data, {n["id"]: n for n in data["nodes"]}
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        links = (link if isinstance(link, dict) else dict(zip(keys, link, strict=False)) for link in data["links"])
        self.links = {link["id"]: link for link in links}
        self.inner = {
            n["id"]: _Graph(subgraphs[n["type"]], object_info, subgraphs, self, n, f"{path}{n['id']}:")
            for n in data["nodes"]
            if n["type"] in subgraphs
        }

    def prompt(self):
        """(id, entry) of every node that runs, those inside subgraphs included."""
        for node in self.nodes.values():
            if node.get("mode", 0) in (MUTED, BYPASSED) or node["type"] in (*NOTES, "Reroute", "PrimitiveNode"):
                continue
            if node["id"] in self.inner:
                yield from self.inner[node["id"]].prompt()
                continue
            schema = self._schema(node)
            inputs = self._widget_values(node, schema)
            for slot in self._slots(node):
                source = self._source(slot, slot["type"])
                if source is not None:
                    inputs[slot["name"]] = source
            title = node.get("title") or schema.get("display_name") or node["type"]
            yield f"{self.path}{node['id']}", {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}

    def _schema(self, node) -> dict:
        if node["type"] not in self.info:
            raise ValueError(
                f"the workflow uses the node type {node['type']!r}, which this ComfyUI does not know: "
                "install the node pack that it comes from"
            )
        return self.info[node["type"]]

    def _widget_values(self, node, schema) -> dict:
        stored, values = node.get("widgets_values") or [], {}
        position = 0
        for name, spec in widget_inputs(schema):
            if isinstance(stored, dict):
                value = stored.get(name, _default(spec))
            elif position >= len(stored) and name in schema["input"].get("optional", {}):
                continue  # the input is newer than the file: the node has a default for older ones
            else:
                value = stored[position] if position < len(stored) else _default(spec)
                position += 1 + _extra_values(name, spec)
            values[name] = {"__value__": value} if isinstance(value, list) else value
        return values

    def _slots(self, node) -> list[dict]:
        """The input slots as the front end shows them: plain sockets first, then those of the widgets."""
        saved = {slot["name"]: slot for slot in node.get("inputs") or []}
        if node["type"] not in self.info:
            return list(saved.values())
        defined = sorted(_inputs(self.info[node["type"]]), key=lambda item: _has_widget(item[1]))
        kinds = {name: "COMBO" if isinstance(spec[0], list) else spec[0] for name, spec in defined}
        slots = [{**saved.get(name, {"name": name, "link": None}), "type": kind} for name, kind in kinds.items()]
        return slots + [slot for name, slot in saved.items() if name not in kinds]

    def _source(self, slot, kind):
        """Where an input's link leads to: [node id, output], a primitive's value, or None where it ends in nothing."""
        link = self.links.get(slot.get("link"))
        if link is None:
            return None
        if link["origin_id"] == SUBGRAPH_INPUT:
            outer = self._outer_slot(link["origin_slot"])
            return outer and self.parent._source(outer, kind)
        return self._output(self.nodes[link["origin_id"]], link["origin_slot"], kind)

    def _outer_slot(self, index):
        """The instance's socket for the subgraph's input `index` (by name: instances store only some of them)."""
        name = self.data["inputs"][index]["name"]
        return next((slot for slot in self.instance.get("inputs", []) if slot["name"] == name), None)

    def _output(self, node, index, kind):
        if node.get("mode", 0) == BYPASSED:
            slot = self._bypass(node, index, kind)
            return slot and self._source(slot, slot["type"])
        if node["type"] == "PrimitiveNode":
            value = node["widgets_values"][0]
            return {"__value__": value} if isinstance(value, list) else value
        if node["type"] == "Reroute":
            return self._source(node["inputs"][0], kind)
        if node["id"] in self.inner:
            inner = self.inner[node["id"]]
            link = next(
                (k for k in inner.links.values() if k["target_id"] == SUBGRAPH_OUTPUT and k["target_slot"] == index),
                None,
            )
            return link and inner._output(inner.nodes[link["origin_id"]], link["origin_slot"], kind)
        return [f"{self.path}{node['id']}", index]

    def _bypass(self, node, index, kind):
        """The input that a bypassed node passes on at its output `index`, to a socket of type `kind`."""
        slots, output = self._slots(node), node["outputs"][index]["type"]
        if not slots:
            return None
        if kind in ("*", ""):
            return slots[index] if index < len(slots) else slots[0]

        def fits(slot):
            return _compatible(slot["type"], output) and _compatible(slot["type"], kind)

        if index < len(slots) and fits(slots[index]):
            return slots[index]
        return next((s for s in slots if s["type"] == kind), next((s for s in slots if fits(s)), None))


def _compatible(a, b) -> bool:
    """Whether two socket types may be joined: the same, any type, or a list with a common member."""
    a, b = ({t.strip().lower() for t in str(kind).split(",")} for kind in (a, b))
    return bool(a & b) or bool({"*", ""} & (a | b))


def _default(spec):
    options = _options(spec)
    choices = spec[0] if isinstance(spec[0], list) else options.get("options") or [None]
    blank = {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}
    kind = options.get("widgetType", spec[0])
    return options.get("default", choices[0] if isinstance(kind, list) or kind == "COMBO" else blank[kind])
