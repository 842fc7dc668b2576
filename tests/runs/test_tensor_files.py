"""Tensors of files from elsewhere: read whole, or refused in one line; nothing in them runs."""

import pickle
import zipfile

import pytest
import torch

from dina_lrm.runs.files import save_tensors
from dina_lrm.runs.tensor_files import load_tensors, load_torch_file, opened_tensors


class Opens:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_what_was_written_is_read(tmp_path):
    tensors = {"a": torch.arange(6).reshape(2, 3), "b": torch.zeros(0)}
    save_tensors(tmp_path / "a.safetensors", tensors)
    found = load_tensors(tmp_path / "a.safetensors")
    assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)
    with opened_tensors(tmp_path / "a.safetensors") as file:
        assert torch.equal(file.get_tensor("a"), tensors["a"])
    torch.save({"inner": tensors}, tmp_path / "a.pt")
    assert torch.equal(load_torch_file(tmp_path / "a.pt")["inner"]["a"], tensors["a"])


def test_a_file_that_is_not_there_is_named(tmp_path):
    for read in (load_tensors, load_torch_file):
        with pytest.raises(FileNotFoundError, match=r"a\.pt: there is no such file"):
            read(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"x", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 1000, b"PK\x03\x04broken"),
        *((2**63 - 1).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]"),
        (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9999],"data_offsets":[0,4]}}   ',
        pickle.dumps({"a": 1}),
    ],
)
def test_what_is_no_file_of_tensors_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    for read in (load_tensors, load_torch_file):
        if read is load_torch_file and content == pickle.dumps({"a": 1}):
            continue  # plain values, which torch reads
        with pytest.raises(ValueError, match=r"a\.safetensors: ") as caught:
            read(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_torch_file_runs(tmp_path, zipped):
    torch.save({"a": Opens(str(tmp_path / "ran"))}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"a\.pt: "):
        load_torch_file(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


def test_a_torch_file_that_would_unfold_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as plain,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    assert (tmp_path / "b.pt").stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"b\.pt: it is compressed, as torch\.save does not"):
        load_torch_file(tmp_path / "b.pt")
