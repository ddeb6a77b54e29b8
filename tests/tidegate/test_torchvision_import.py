"""`import tidegate` makes torchvision importable, at no cost until somebody imports torchvision."""

import subprocess
import sys

import pytest

SAY_FINDER = "print(any('Torchvision' in type(finder).__name__ for finder in sys.meta_path))"
SAY_WHICH = "print(*(name in sys.modules for name in ('torch', 'torchvision')))"


def run_python(code: str) -> list[str]:
    """The lines that a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("imported", ["from fastai.vision.all import *", "import torchvision"])
def test_torchvision_imports_after_tidegate_whatever_it_was_built_for(imported: str) -> None:
    code = f"import tidegate\n{SAY_WHICH}\n{imported}\n{SAY_WHICH}\n{SAY_FINDER}"
    assert run_python(code) == ["False False", "True True", "False"]


def test_torchvision_imports_again_once_it_has_failed_without_tidegate() -> None:
    code = (
        "try:\n    from fastai.vision.all import *\nexcept RuntimeError as error:\n    assert 'torchvision' in str(error)\n"
        "import tidegate\nfrom fastai.vision.all import *\nprint(PILImage.__name__)"
    )
    assert run_python(code) == ["PILImage"]


def test_asking_whether_torchvision_is_there_imports_nothing() -> None:
    code = f"import tidegate\nimport importlib.util\nprint(importlib.util.find_spec('torchvision').name)\n{SAY_WHICH}"
    assert run_python(code) == ["torchvision", "False False"]


def test_threads_may_import_torchvision_at_once() -> None:
    code = (
        "import tidegate, threading\nfailures = []\n"
        "def work():\n    try:\n        import torchvision\n        torchvision.transforms\n"
        "    except BaseException as error:\n        failures.append(error)\n"
        "threads = [threading.Thread(target=work) for _ in range(8)]\n"
        "[t.start() for t in threads]\n[t.join() for t in threads]\nprint(failures)"
    )
    assert run_python(code) == ["[]"]


def test_where_torch_is_missing_torchvision_says_so_itself() -> None:
    code = (
        "import tidegate\nsys.modules['torch'] = None\n"
        "try:\n    import torchvision\nexcept ImportError as error:\n    print(error.name)"
    )
    assert run_python(code) == ["torch"]


def test_where_torchvision_is_missing_nothing_is_found() -> None:
    code = (
        "import tidegate\nsys.path[:] = [path for path in sys.path if 'site-packages' not in path]\n"
        "sys.meta_path[:] = [one for one in sys.meta_path if one.__class__.__module__ != 'importlib.metadata']\n"
        "import importlib.util\nprint(importlib.util.find_spec('torchvision'))"
    )
    assert run_python(code) == ["None"]
