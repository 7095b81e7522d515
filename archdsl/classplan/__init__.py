"""How a network becomes modules: which parts are attributes, which are indices, which are classes.

This is where names in the generated code, and so the keys of its state dict, are decided:

- a named part is an attribute with its name;
- unnamed layers in a row are one ``nn.Sequential``, each an index; a body that is nothing but
  such a row is a ``nn.Sequential`` itself, so its indices come without an attribute before them;
- a block call is a class of its own, and so is a named group that branches inside;
- branches without names are ``branch1``, ``branch2``, …

The same plan gives the reports their layer names.
"""

from archdsl.classplan.naming import (
    RESERVED_ATTRIBUTES,
    argument_name,
    attribute_name,
    camel_case,
    field_name,
    name_nodes,
)
from archdsl.classplan.plan import (
    ApplyStep,
    ChoiceItem,
    ClassPlan,
    CopiesStep,
    FlattenItem,
    ForkStep,
    HeadStep,
    InstanceItem,
    KeyedItem,
    LayerItem,
    OptionStep,
    PlanItem,
    PlanStep,
    ReferenceStep,
    RepeatItem,
    ReuseStep,
    SequentialItem,
    applies_of,
    heads_of,
    in_row,
    items_of,
    keyed_in_row,
    plans_in,
    run_items_of,
)
from archdsl.classplan.planning import HEAD_CLASS, plan_modules

__all__ = [
    "HEAD_CLASS",
    "RESERVED_ATTRIBUTES",
    "ApplyStep",
    "ChoiceItem",
    "ClassPlan",
    "CopiesStep",
    "FlattenItem",
    "ForkStep",
    "HeadStep",
    "InstanceItem",
    "KeyedItem",
    "LayerItem",
    "OptionStep",
    "PlanItem",
    "PlanStep",
    "ReferenceStep",
    "RepeatItem",
    "ReuseStep",
    "SequentialItem",
    "applies_of",
    "argument_name",
    "attribute_name",
    "camel_case",
    "field_name",
    "heads_of",
    "in_row",
    "items_of",
    "keyed_in_row",
    "name_nodes",
    "plan_modules",
    "plans_in",
    "run_items_of",
]
