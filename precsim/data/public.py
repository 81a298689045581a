"""The registry of public tables, and how one is fetched and checked."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_HOST = "https://raw.githubusercontent.com"


class DigestError(ValueError):
    """Files were read, but they do not make the table that is known under this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTable:
    """A published table: where its files are, what may be done with it, and what it becomes.

    Attributes
    ----------
    name : str
    title : str
        What was trained, in a few words.
    repository, commit : str
        On GitHub; files are taken at this commit.
    files : tuple of str
        Paths in the repository.
    licence : str
        Of the repository or the data, as found there.
    reference : str
        The study.
    rows : int
    columns : mapping of str to str
        Column of the table -> meaning and unit.
    sha256 : str
        Of the converted table in the form of `digest`: the files' own digests are not recorded anywhere we can cite,
        so the content is checked instead, number by number.
    note : str
        What a user must know before a fit.
    """

    name: str
    title: str
    repository: str
    commit: str
    files: tuple[str, ...]
    licence: str
    reference: str
    rows: int
    columns: Mapping[str, str]
    sha256: str
    note: str = ""
    read: Callable[[Sequence[bytes]], pd.DataFrame] = field(repr=False, compare=False)
    arrange: Callable[[pd.DataFrame], pd.DataFrame] = field(repr=False, compare=False)

    def urls(self, host: str = _HOST) -> tuple[str, ...]:
        """Where the files are, at the commit, on a host that serves repositories."""
        return tuple(f"{host}/{self.repository}/{self.commit}/{path}" for path in self.files)

    def converted(self, files: Sequence[bytes]) -> pd.DataFrame:
        """Our table from the contents of the source's files, checked.

        Raises
        ------
        DigestError
            If they are not the files of this table.
        """
        try:
            raw = self.read(files)
        except (KeyError, TypeError, ValueError, AttributeError, SyntaxError, OSError) as failure:
            raise DigestError(f"{self.name}: the files cannot be read as this table: {failure}") from None
        return self.checked(raw)

    def checked(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Our table from the source's, if it is the one that is known.

        Raises
        ------
        DigestError
            With the numbers of rows and both digests.
        """
        try:
            table = self.arrange(raw)
        except (KeyError, TypeError, ValueError, AttributeError) as failure:
            raise DigestError(f"{self.name}: the file has other columns than its source: {failure}") from None
        if (found := digest(table)) != self.sha256:
            raise DigestError(
                f"{self.name}: the content differs from the known table ({len(table)} rows of {self.rows}, sha256 "
                f"{found[:16]}… instead of {self.sha256[:16]}…); the source may have changed it or the file is damaged"
            )
        return table


def digest(table: pd.DataFrame) -> str:
    """SHA-256 of a table's content: header and sorted lines, numbers to 12 significant digits.

    Order of rows, the last bits of a conversion from text, and the type of a column (4 or 4.0) do not matter.

    Examples
    --------
    >>> import pandas as pd
    >>> a, b = pd.DataFrame({"N": [1, 2]}), pd.DataFrame({"N": [2.0, 1.0]})
    >>> digest(a) == digest(b)
    True
    """
    lines = sorted(",".join(map(_text, row)) for row in table.itertuples(index=False))
    return hashlib.sha256("\n".join([",".join(map(str, table.columns)), *lines]).encode()).hexdigest()


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{float(value):.12g}"


def fetch(name: str, *, cache: str | Path | None = None, host: str = _HOST, progress: bool = False) -> pd.DataFrame:
    """Download a public table from its source, check it, and return it with our columns.

    The caller has consented: nothing else in the package downloads anything.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    cache : path, optional
        Folder for the files; the user's cache folder by default. Files that are there are not asked for again.
    host : str
        Where repositories are served as files; a mirror has the same paths.
    progress : bool
        Show a bar.

    Raises
    ------
    ValueError
        If there is no such table.
    DigestError
        If what came is not the known table; the files stay in the cache for inspection, under other names.
    OSError
        If the source cannot be reached.
    """
    import pooch

    table = known(name)
    folder = Path(cache) if cache is not None else Path(pooch.os_cache("precsim"))
    place = folder / table.name / table.commit[:12]
    pooch.get_logger().setLevel("ERROR")
    paths = [
        pooch.retrieve(url, known_hash=None, fname=_local_name(path), path=place, progressbar=progress)
        for url, path in zip(table.urls(host), table.files, strict=True)
    ]
    try:
        return table.converted([Path(path).read_bytes() for path in paths])
    except DigestError as failure:
        for path in map(Path, paths):  # the next call is to ask the source again, not to find these
            path.replace(path.with_name(f"{path.name}.wrong"))
        raise DigestError(f"{failure} (what came is kept in {place}, under names that end in .wrong)") from None


def load_folder(name: str, folder: str | Path) -> pd.DataFrame:
    """Read a public table from a folder, check it, and return it with our columns.

    Parameters
    ----------
    name : str
    folder : path
        With the source's files under their names (or as in the repository), or with one ``data.csv`` that has the
        source's columns; also a folder of such folders, one of which is called `name`.

    Raises
    ------
    ValueError
        If there is no such table, or the folder lacks the files: the message lists them.
    DigestError
        If the files hold something else.
    """
    import pandas as pd

    table = known(name)
    folder = Path(folder)
    for place in (folder, folder / name, folder / name.replace("-", "_")):
        if (place / "data.csv").is_file():
            raw = pd.read_csv(place / "data.csv")
            return table.checked(raw)
        for names in (table.files, tuple(map(_local_name, table.files))):
            if all((place / path).is_file() for path in names):
                return table.converted([(place / path).read_bytes() for path in names])
    wanted = ", ".join(map(_local_name, table.files))
    raise ValueError(f"{folder} has neither {wanted} nor data.csv of {name}")


def known(name: str) -> PublicTable:
    """The entry of a table."""
    if name not in TABLES:
        raise ValueError(f"no public table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def _local_name(path: str) -> str:
    return path.rpartition("/")[2]


def _later(function: str, **fixed: Any) -> Callable[[Any], Any]:
    """A function of `conversion`, which imports pandas when it is first used."""

    def call(value: Any) -> Any:
        from precsim.data import conversion

        return functools.partial(getattr(conversion, function), **fixed)(value)

    return call


_SIZES = {"N": "parameters without embedding", "D": "training tokens", "loss": "nats/token"}
_SUBSETS = ("hot", "cool_end", "cool_begin", "lr_ablation_hot", "hot_100b+", "hot_120b+_only")
_LOW = {"weights": "bits of weights in training; inf = 16-bit float", "activations": "the same of activations"}

TABLES: dict[str, PublicTable] = {
    table.name: table
    for table in (
        PublicTable(
            name="chinchilla-epoch",
            title="245 points read off figure 4 of Hoffmann et al. by Epoch AI",
            repository="epoch-research/analyzing-chinchilla",
            commit="92258837425e1b5f2851d624287f0120583a3d0e",
            files=("data/svg_extracted_data.csv",),
            licence="none stated; measurements of a published figure",
            reference="besiroglu2024",
            rows=245,
            columns={**_SIZES, "holdout": "the five points of highest loss, which the usual fit leaves out"},
            sha256="01455c564203fb79e5e4360423fc5946eeebd007f14dfd8ea370271f8c4d418f",
            read=_later("chinchilla"),
            arrange=_later("arrange_chinchilla"),
        ),
        PublicTable(
            name="gemstones",
            title="22 widths and depths, 50M-2B parameters, along constant-rate training and after cool-down",
            repository="mcleish7/gemstone-scaling-laws",
            commit="5f420478f6057b0cbb4d13405fb10ca64675bccb",
            files=tuple(f"wandb_dfs/wandb_df_for_fitting_{subset}.jsonl" for subset in _SUBSETS),
            licence="MIT",
            reference="arXiv 2502.06857",
            rows=1209,
            columns={
                "run": "name; the points of one run are not independent",
                "N": _SIZES["N"],
                "width": "of the model",
                "depth": "of the model",
                "D": "tokens read so far",
                "step": "steps done",
                "loss": _SIZES["loss"],
                "subsets": "the authors' selections that contain the point",
            },
            sha256="92903b7c82582a4c167b8d5a35840a07eae89a80d59026690087cb6d526df732",
            note="points of one run are not independent: resample by run; choose one kind of subset",
            read=_later("gemstones", subsets=_SUBSETS),
            arrange=_later("arrange_gemstones"),
        ),
        PublicTable(
            name="kyo-llm",
            title="234 cleaned points of the Chinchilla figure, example of the package chinchilla",
            repository="kyo-takano/chinchilla",
            commit="75e5858f6e7c5b60d1fab69f66258132347b060c",
            files=("examples/llm/df.csv",),
            licence="Apache-2.0",
            reference="besiroglu2024",
            rows=234,
            columns=_SIZES,
            sha256="099d2ae72ebfeeeeac652eb3e4f043e4745b866251d547c281f1152125b40070",
            read=_later("csv"),
            arrange=_later("arrange_plain"),
        ),
        PublicTable(
            name="paretoq",
            title="30 released MobileLLM models, 125M-1.5B parameters, weights trained last at 1-4 bits",
            repository="facebookresearch/ParetoQ",
            commit="655e3386617845e1e3516198437ebad8dab8dc68",
            files=("README.md",),
            licence="BSD-3-Clause; printed results",
            reference="arXiv 2502.02631",
            rows=30,
            columns={
                **_SIZES,
                "loss": "logarithm of the perplexity on WikiText",
                "weights": _LOW["weights"],
                "perplexity": "as printed, to three digits",
            },
            sha256="bf9046b1087139b4d8caea20bd896817dcd2b84b8a3a63c08969497b96f78629",
            note="one number of tokens: these cells speak of N and bits, not of D; losses are good to half a percent",
            read=_later("paretoq"),
            arrange=_later("arrange_paretoq"),
        ),
        PublicTable(
            name="quartet2-nvfp4",
            title="574 runs on C4, 30-200M parameters, NVFP4 in the forward and backward pass",
            repository="IST-DASLab/Quartet-II",
            commit="8776a90b7aa0c0a400ad858a3c05a66f7ec55b73",
            files=("for_plots/runs.json",),
            licence="none stated; the sibling repositories QuEST and Quartet are MIT",
            reference="arXiv 2601.22813",
            rows=574,
            columns={
                **_SIZES,
                "weights": "bits of weights in the forward pass; inf = BF16",
                "activations": "the same of activations",
                "scheme": "family and the settings that differ within it",
                "family": "the source's name of a group of schemes; baseline is BF16",
                "backward": "which products of the backward pass are quantized",
            },
            sha256="60a814d56d049bf6d53c57fb34f21f4445dfba86947e075788937d35e77ec137",
            note="34 schemes; families called backward, albert_tseng and bnrq keep the forward pass in BF16; nvidia, "
            "quartetv2 and tetrajetv2 quantize both passes, which the column backward does not say",
            read=_later("quartet2"),
            arrange=_later("arrange_quartet2"),
        ),
        PublicTable(
            name="quartet-mxfp4",
            title="174 runs on C4, 30-822M parameters, MXFP4 in the forward and backward pass",
            repository="IST-DASLab/Quartet",
            commit="5b9d74c6d3709a87bd0881386c8f288ea825c276",
            files=("notebooks/plots.ipynb",),
            licence="MIT",
            reference="arXiv 2505.14669",
            rows=174,
            columns={
                **_SIZES,
                **_LOW,
                "scheme": "quantizer of the forward pass",
                "backward": "quantizer of the backward pass",
                "steps": "iterations of 262,144 tokens",
            },
            sha256="6dfbaa7c61ffac157e60ec3ef58b506d64a9ba67ecb37e5ab90f879ed4524240",
            note="one outlier is kept: 30M, AlbertTsengQuantizer, 91,552 iterations",
            read=_later("quartet"),
            arrange=_later("arrange_quartet"),
        ),
        PublicTable(
            name="quest-qat",
            title="104 runs on C4, 30-822M parameters, weights and activations of 1-8 bits in training",
            repository="IST-DASLab/QuEST",
            commit="c295afda142c03a89d2af04653881beccf459aa1",
            files=("for_plots/runs_for_scaling.json",),
            licence="MIT",
            reference="arXiv 2502.05003",
            rows=104,
            columns={
                **_SIZES,
                **_LOW,
                "scheme": "as in the published law; 'unrotated' without Hadamard transform",
                "weights_method": "class of the quantizer",
                "activations_method": "the same of activations",
                "learning_rate": "peak",
                "steps": "iterations",
                "seed": "",
            },
            sha256="8c535b857ebc3370902ce3967ea439157cd4b0eba4bda7f8d822846298d104a0",
            note="unquantized runs only at D/N = 100: this table alone does not tell alpha, beta and E apart",
            read=_later("quest"),
            arrange=_later("arrange_quest"),
        ),
        PublicTable(
            name="step-law",
            title="2819 runs over learning rate and batch size, 60M-1.07B parameters, 2-100B tokens",
            repository="PlanarG/active-sl",
            commit="e0a58ffde4f6fdfb20880d47d6d180fdbcb1440d",
            files=tuple(
                f"benchmark/dataset/lr_bsz_scaling_law/{split}-00000-of-00001.parquet" for split in ("train", "test")
            ),
            licence="MIT (repository), CC-BY-4.0 (data card: ScaleBench and the original study)",
            reference="arXiv 2503.04715; arXiv 2604.22753",
            rows=2819,
            columns={
                **_SIZES,
                "learning_rate": "peak",
                "batch_sequences": "sequences of one step",
                "holdout": "the benchmark's test split",
            },
            sha256="80a94e96cebcdb52c7e6dde7afbd65e2e0fc25a9ef4a27bb62a9f4173e32e868",
            note="take the least loss over learning rate and batch size of each (N, D) for a tuned L(N, D)",
            read=_later("step_law", splits=("train", "test")),
            arrange=_later("arrange_step_law"),
        ),
    )
}
