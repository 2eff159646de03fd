"""Compiled code that numba keeps."""

import os

from nvc.kernels._caches import drop_stale


def test_code_older_than_a_helper_is_dropped(tmp_path):
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    helper, kernel = tmp_path / "_helper.py", tmp_path / "kernel.py"
    old, new = cache / "kernel.old.nbi", cache / "kernel.new.nbc"
    other = cache / "kernel.pyc"
    for path, when in ((other, 10), (old, 20), (helper, 30), (new, 40), (kernel, 50)):
        path.write_text("")
        os.utime(path, (when, when))

    drop_stale(tmp_path)

    assert sorted(p.name for p in cache.iterdir()) == ["kernel.new.nbc", "kernel.pyc"]
