from pathlib import Path
import time
from tests.hosts import *
from archive_tasks.testing import File, make_tree, read_tree
def test_x(place, make_host, root):
    make_tree(root, {"thesis": {"a.txt": File("alpha", age_days=400), "b.txt": File("beta", age_days=400)}})
    a, b = make_host("hosta", place), make_host("hostb", place)
    t=time.time()
    with a.waiting_at(COMMITS, "archive", "--root", str(root), "--yes"):
        print(b.archive(root), time.time()-t)
    print(place.keys())
    t=time.time(); a.clean(root); print(time.time()-t)
    place.age(20)
    print([(k, place.date(k)) for k in place.keys()])
    t=time.time()
    for h in a, b:
        r = h.prune()
        print(r, time.time()-t)
    print(place.keys())
    with place.hiding("manifests/hosta/"):
        print(a.prune(), len(place.keys()))
    print(a.run_as("doctor", MACHINE_CLOCK=str(YEAR), MACHINE_ID="0"*32))
    assert 0
