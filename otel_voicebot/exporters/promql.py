"""PromQL: the selectors, sums, shares and quantiles of which rules, alerts and dashboards are put together."""

from collections.abc import Mapping, Sequence

from otel_voicebot.conventions import Metric, prometheus_name

__all__ = ["Labels", "Other", "Pattern", "added", "matchers", "quantile", "selector", "share", "summed"]

Labels = Mapping[str, str]


class Pattern(str):
    """A label's values, as words between ``|``; another text is one value as it is."""

    __slots__ = ()


class Other(str):
    """Any value of a label but this."""

    __slots__ = ()


def matchers(labels: Labels, between: str = ",") -> str:
    """``name="value",...``, for what stands in braces."""
    return between.join(f"{name}{_matcher(value)}" for name, value in labels.items())


def selector(metric: Metric, suffix: str, labels: Labels, between: str = ",") -> str:
    """The series of a metric that have these labels.

    Args:
        metric: the metric.
        suffix: what its sample's name ends with: ``_total``, ``_bucket``, nothing of a gauge.
        labels: their values.
        between: what stands between two of them.
    """
    shown = matchers(labels, between)
    return f"{prometheus_name(metric)}{suffix}" + (f"{{{shown}}}" if shown else "")


def _matcher(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    operator = "=~" if isinstance(value, Pattern) else "!=" if isinstance(value, Other) else "="
    return f'{operator}"{escaped}"'


def added(of: str, by: Sequence[str]) -> str:
    """Series added up by labels; without any, all of them."""
    return f"sum by ({', '.join(by)}) ({of})" if by else f"sum({of})"


def summed(function: str, series: str, window: str, by: Sequence[str]) -> str:
    """The rates or increases of series in a window, added up by labels."""
    return added(f"{function}({series}[{window}])", by)


def share(part: str, whole: str) -> str:
    """A ratio; 0 where there is a whole and no such part, as a series begins with its first event."""
    return f"({part} or 0 * {whole}) / {whole}"


def quantile(part: float, buckets: str) -> str:
    """A quantile of a histogram's buckets (added up by ``le``), interpolated by Prometheus."""
    return f"histogram_quantile({part:g}, {buckets})"
