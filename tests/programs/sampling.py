"""Layers, numbers and conditions at random, for statements that run in several states."""

from __future__ import annotations

from programs.expressions import Expr, name, num
from programs.sight import InView
from programs.tree import Init, Layer, Range
from programs.values import GivenLayer, Listed


class Sampler(InView):
    # ── Expressions ──────────────────────────────────────────────────────────────────────────

    def integer(self, low: int, high: int, plain: float = 0.4, volume: bool = True) -> Expr:
        """A whole number within bounds in all states."""
        words = self.values(int)
        if volume:
            words += ["C", "C"] + (["H", "W"] if self.is_image() else [])
        if words and self.rng.random() > plain:
            for _ in range(5):
                expr = self._integer(words, high)
                found = self.evaluate(expr)
                if found and all(type(value) is int and low <= value <= high for value in found):
                    return expr
        return num(self.rng.randint(low, high))

    def _integer(self, words: list[str], high: int) -> Expr:
        left = name(self.rng.choice(words))
        if self.rng.random() < 0.4:
            return left
        right = name(self.rng.choice(words)) if self.rng.random() < 0.4 else None
        small = num(self.rng.randint(1, 4))
        listed = self.lists((int,), 1)
        if listed and self.rng.random() < 0.4:
            return self._of_list(self.rng.choice(listed), left)
        match self.rng.randrange(11):
            case 8:
                base = self.rng.choice([left, num(2), Expr("neg", (left,))])
                return Expr("**", (base, num(2) if base == left else left))
            case 9:
                factor = self.rng.choice([num(0.6), num(1.4), num(0.75)])
                scaled = Expr("*", (factor, left))
                return Expr("round_to", (self.rng.choice([num(2), num(4)]), scaled))
            case 10:
                return Expr(self.rng.choice(["ceil", "round"]), (Expr("log2", (left,)),))
            case 0:
                return Expr("+", (left, right or small))
            case 1:
                return Expr("*", (right or num(2), left))
            case 2:
                return Expr(self.rng.choice(["/", "//"]), (left, num(2)))
            case 3:
                return Expr(self.rng.choice(["min", "max"]), (left, right or num(high)))
            case 4:
                return Expr("+", (Expr("%", (left, small)), num(1)))
            case 5:
                return Expr("-", (left, right or small))
            case 6:
                factors = [name(word) for word in self.values(float)]
                factor = self.rng.choice([num(0.5), num(1.5), num(0.3), *factors, *factors])
                part = Expr(self.rng.choice("*/"), (factor, left))
                whole = self.rng.choice([part, Expr("*", (left, factor))])
                return Expr(self.rng.choice(["floor", "ceil", "round"]), (whole,))
            case _:
                inner = Expr(self.rng.choice("+-"), (left, right or small))
                return Expr(self.rng.choice("*%"), (inner, small))

    def _of_list(self, listed: str, other: Expr) -> Expr:
        match self.rng.randrange(7):
            case 0:
                return Expr("len", (name(listed),))
            case 1 | 6:
                return Expr("sum", (name(listed),))
            case 2:
                last = Expr("-", (Expr("len", (name(listed),)), num(1)))
                return Expr("[]", (listed, last))
            case 3:
                index = Expr("%", (other, Expr("len", (name(listed),))))
                return Expr("[]", (listed, index))
            case _:
                return Expr("[]", (listed, self.rng.choice([num(0), num(0), num(1), other])))

    def turns(self, least: int) -> Expr | Range:
        """What a loop runs over."""
        rng = self.rng
        listed = self.values(Listed)
        chance = rng.random()
        if listed and chance < 0.35:
            word = rng.choice(listed)
            if rng.random() < 0.7:
                return name(word)
            return Range(num(0), Expr("len", (name(word),)))
        if chance < 0.6:
            return self.of_kind("list") if rng.random() < 0.5 else self._list()
        if chance < 0.75:
            return Range(num(1), self.integer(1 + least, 4, plain=0.2))
        return Range(num(0), self.integer(least, 3, plain=0.1))

    def _list(self) -> Expr:
        items = [self.integer(1, 6, plain=0.5) for _ in range(self.rng.randint(1, 3))]
        return Expr("list", tuple(items))

    def given_layer(self) -> Expr:
        """A layer as an argument."""
        words = self.words(GivenLayer)
        if words and self.rng.random() < 0.4:
            return Expr("word", (self.rng.choice(words),))
        chance = self.rng.random()
        if chance < 0.7:
            return Expr("layer", (self._activation(),))
        if chance < 0.85:
            return Expr("layer", (self._norm(),))
        dense = Layer("conv", (num(1), self.integer(1, 4)))
        return Expr(
            "layer", (self.rng.choice([Layer("id"), dense, Layer("dropout", (num(0.5),))]),)
        )

    def count(self, low: int) -> Expr:
        """How often something is repeated."""
        if self.rng.random() < 0.4:
            return num(self.rng.randint(1, 3))
        return self.integer(low, 3, plain=0.1)

    def condition(self) -> Expr:
        """A condition; one that differs between the states where that is easy."""
        best = self._condition(0)
        for _ in range(5):
            found = self.evaluate(best)
            if found and all(type(value) is bool for value in found):
                if len(set(found)) == 2 or len(self.states) == 1:
                    return best
                if self.rng.random() < 0.15:
                    return best
            best = self._condition(0)
        found = self.evaluate(best)
        is_right = found is not None and all(type(value) is bool for value in found)
        return best if is_right else Expr("==", (name("C"), num(self.state.volume[-1])))

    def _condition(self, depth: int) -> Expr:
        chance = self.rng.random()
        bools = self.values(bool)
        if bools and chance < 0.35:
            return name(self.rng.choice(bools))
        if depth < 2 and chance < 0.5:
            op = self.rng.choice(["and", "or"])
            return Expr(op, (self._condition(depth + 1), self._condition(depth + 1)))
        if depth < 2 and chance < 0.56:
            return Expr("not", (self._condition(depth + 1),))
        words = ["C", "C", *self.values(int), *self.values(int), *self.values(float)]
        words += ["H", "W"] if self.is_image() else []
        sizes = self.values(tuple)
        if sizes and chance < 0.65:
            return Expr(self.rng.choice(["==", "!="]), (name(self.rng.choice(sizes)), num((3, 3))))
        left = name(self.rng.choice(words))
        at = self.evaluate(left) or [1]
        near = num(self.rng.choice(at)) if self.rng.random() < 0.6 else name(self.rng.choice(words))
        if self.rng.random() < 0.2:
            left = Expr("%", (left, num(2)))
            near = num(self.rng.randint(0, 1))
        return Expr(self.rng.choice(["==", "!=", "<", "<=", ">", ">="]), (left, near))

    def of_kind(self, kind: str) -> Expr:
        """An argument for a parameter of a kind."""
        rng = self.rng
        known: dict[str, type] = {"bool": bool, "float": float, "kernel": tuple}
        if kind in known and (words := self.values(known[kind])) and rng.random() < 0.4:
            return name(rng.choice(words))
        match kind:
            case "bool":
                return self.condition() if rng.random() < 0.2 else num(rng.random() < 0.5)
            case "float":
                # 1, 1.0 and true are equal in Python, and different arguments.
                return num(rng.choice([0, 0.0, 0.5, 0.25, 0.1, 0.3]))
            case "slope":
                return num(rng.choice([1, 1.0, 0.5, 2, 0.25, 2.0]))
            case "kernel":
                return num(rng.choice([1, 3, 2, (3, 3), (1, 3), (3, 2), (3, 1)]))
            case "stride":
                return self.integer(1, 2, plain=0.7)
            case "count":
                return self.integer(1, 3, plain=0.5)
            case "list":
                if (words := self.values(Listed)) and rng.random() < 0.4:
                    return name(rng.choice(words))
                items = [self.integer(1, 6, plain=0.8) for _ in range(rng.choice([0, 1, 2, 2, 3]))]
                if rng.random() < 0.1:
                    items = [num(rng.random() < 0.5) for _ in items]
                return Expr("list", tuple(items))
            case "shape":
                return num((rng.randint(4, 9), rng.randint(4, 9), rng.randint(1, 4)))
        return self.integer(1, 8)

    # ── Layers ───────────────────────────────────────────────────────────────────────────────

    def layer(self, keeps: bool, flattens: bool) -> Layer:
        """Any layer that may fit."""
        chance = self.rng.random()
        if not self.is_image():
            return self._dense() if chance < 0.5 else self.light(keeps)
        if flattens and chance < 0.12:
            return self.rng.choice([Layer("flatten"), self._fc()])
        if chance < 0.5:
            return self._conv(keeps)
        if chance < 0.66:
            return self._pool(keeps)
        return self.light(keeps)

    def light(self, keeps: bool) -> Layer:
        """A layer that keeps the size: activations, normalizations, and what moves channels."""
        rng, chance = self.rng, self.rng.random()
        if chance < 0.45:
            return self._activation()
        if chance < 0.62:
            return self._norm()
        if chance < 0.72:
            word = rng.choice(["dropout", "dropout", "droppath"])
            return Layer(word, (self._rate(),))
        if not self.is_image():
            return self._dense()
        channels = self.state.volume[-1]
        match rng.randrange(10 if keeps else 15):
            case 9:
                start = rng.randrange(channels)
                stop = () if rng.random() < 0.4 else (num(rng.randint(start + 1, channels)),)
                first = Expr("//", (name("C"), num(2))) if rng.random() < 0.3 else num(start)
                return Layer("slice", (first, *stop))
            case 0:
                return Layer("scale")
            case 1:
                return Layer("lrn", (num(rng.randint(1, 5)),), (("alpha", num(0.1)),))
            case 2:
                return Layer("in", (), (("affine", self._bool()),))
            case 3:
                taken = [num(rng.randrange(channels)) for _ in range(rng.randint(1, 4))]
                return Layer("take", tuple(taken), in_parentheses=True)
            case 4:
                return Layer("channelshuffle", (self._divisor(),))
            case 5:
                return Layer("linear", (self.integer(1, 8),), self._bias())
            case 6:
                return Layer("id")
            case 7 | 8:
                return self._conv(True)
            case 14:
                return Layer("pad", tuple(num(rng.randint(0, 1)) for _ in range(4)))
            case 10:
                mode = (("mode", "bilinear"),) if rng.random() < 0.5 else ()
                return Layer("upsample", (num(rng.choice([2, (1, 2)])),), mode)
            case 11:
                return Layer("pixelshuffle", (num(2),))
            case 12:
                return Layer("adaptiveavgpool", (num(rng.randint(2, 5)),))
            case _:
                height, width, channels = self.state.volume
                return Layer("reshape", (num((width, height, channels)),))

    def to_channels(self, target: Expr) -> Layer:
        """A layer that gives this number of channels and keeps the size."""
        if not self.is_image():
            return Layer("fc", (target,), self._bias())
        if self.rng.random() < 0.15:
            return Layer("linear", (target,), self._bias())
        kernel = num(self.rng.choice([1, 3, (3, 1), 2]))
        same = () if kernel == num(1) else (("same", None),)
        return Layer("conv", (kernel, target), (*same, *self._bias()))

    def _activation(self) -> Layer:
        rng = self.rng
        words = "relu tanh silu leakyrelu elu gelu sigmoid relu6 prelu softmax selu mish softplus"
        word = rng.choice([*words.split(), "hardtanh", "logsoftmax"])
        if word == "softplus" and rng.random() < 0.5:
            return Layer(word, (), (("beta", self._float([0.5, 2, 1.0])),))
        if word == "hardtanh" and rng.random() < 0.6:
            key = rng.choice(["min_val", "max_val"])
            return Layer(word, (), ((key, self._float([0, 0.5, 0.25])),))
        if word == "leakyrelu" and rng.random() < 0.6:
            return Layer(word, (), (("negative_slope", self._float([0.5, 1, 0.1, 1.0])),))
        if word == "elu" and rng.random() < 0.6:
            return Layer(word, (), (("alpha", self._float([0.5, 2, 2.0, 1])),))
        if word == "gelu" and rng.random() < 0.3:
            return Layer(word, (), (("approximate", "tanh"),))
        if word == "prelu" and rng.random() < 0.3:
            return Layer(word, (), (("num_parameters", name("C")),))
        return Layer(word)

    def _norm(self) -> Layer:
        rng = self.rng
        match rng.randrange(5):
            case 0 | 1:
                return Layer("bn")
            case 2:
                more = rng.choice([(("affine", self._bool()),), (("eps", self._float([0.1, 1])),)])
                return Layer("bn", (), more)
            case 3:
                return Layer("gn", (self._divisor(),))
            case _:
                return Layer("ln")

    def _divisor(self) -> Expr:
        if not self.state.volume:
            return self.rng.choice([num(1), num(2), num(4)])
        return self.rng.choice([num(1), num(2), num(self.state.volume[-1]), name("C")])

    def _rate(self) -> Expr:
        return self._float([0.5, 0.1, 0, 0.25])

    def _float(self, numbers: list[float]) -> Expr:
        words = self.values(float)
        if words and self.rng.random() < 0.6:
            return name(self.rng.choice(words))
        return num(self.rng.choice(numbers))

    def _bool(self) -> Expr:
        words = self.values(bool)
        if words and self.rng.random() < 0.7:
            return name(self.rng.choice(words))
        return num(self.rng.random() < 0.5)

    def _bias(self) -> tuple[tuple[str, object], ...]:
        chance = self.rng.random()
        if chance < 0.2:
            return (("nobias", None),)
        if chance < 0.4:
            return (("bias", self._bool()),)
        if chance < 0.48:
            return (("init", self.init()),)
        return ()

    def init(self) -> Init:
        bias = self.rng.choice([None, None, 1, 0.5])
        word, number = self.rng.choice(
            [("he", None), ("xavier", None), ("normal", 0.01), ("uniform", 0.02), ("zeros", None)]
        )
        return Init(word, number, bias)

    def _kernel(self) -> Expr:
        sizes = self.values(tuple)
        if sizes and self.rng.random() < 0.5:
            return name(self.rng.choice(sizes))
        if self.rng.random() < 0.2:
            return self.integer(1, 3, plain=0.1)
        return num(self.rng.choice([1, 1, 3, 3, 3, 2, 4, (1, 3), (3, 2), (2, 1), 5]))

    def _conv(self, keeps: bool) -> Layer:
        rng = self.rng
        kernel = self._kernel()
        settings: list[tuple[str, object]] = []
        word = rng.choices(["conv", "dwconv", "deconv"], [8, 1, 0 if keeps else 1])[0]
        channels = (self.integer(1, 8),) if rng.random() < 0.85 else ()
        if word == "deconv":
            settings.append(("s", 2))
            kernel = num(rng.choice([2, 3, (2, 3)]))
        elif keeps or rng.random() < 0.6:
            settings.append(("same", None))
            if rng.random() < 0.1:
                settings.append(("d", 2))
        elif rng.random() < 0.5:
            settings.append(("padding", self.integer(0, 2)))
        if not keeps and word != "deconv" and rng.random() < 0.35:
            use_name = rng.random() < 0.5
            settings.append(
                ("stride", self.integer(1, 2)) if use_name else ("s", rng.choice([2, (2, 1)]))
            )
        if word == "dwconv":
            channels = ()
        elif rng.random() < 0.08:
            settings.append(("groups", self._divisor()))
        rng.shuffle(settings)
        return Layer(word, (kernel, *channels), (*settings, *self._bias()))

    def _pool(self, keeps: bool) -> Layer:
        rng = self.rng
        word = rng.choice(["maxpool", "avgpool"])
        if keeps:
            kernel = num(rng.choice([3, 2, (3, 1)]))
            return Layer(word, (kernel,), (("s", 1), ("same", None)))
        match rng.randrange(6):
            case 0:
                return Layer(rng.choice(["gap", "gmp"]))
            case 1:
                return Layer(word, (num(3),), (("s", 2), ("ceil", None)))
            case 2:
                return Layer(word, (num(3),), (("stride", self.integer(1, 2)), ("p", 1)))
            case 3:
                return Layer(word, (num(3),), (("s", (2, 1)), ("same", None)))
            case _:
                return Layer(word, (num(2),))

    def _dense(self) -> Layer:
        return (
            self._fc()
            if self.rng.random() < 0.7
            else Layer("linear", (self.integer(1, 8),), self._bias())
        )

    def _fc(self) -> Layer:
        return Layer("fc", (self.integer(1, 8),), self._bias())
