def test_try(fabricate):
    from cxrbench.benchmark.assembly import assemble
    from cxrbench.benchmark.tables import terminal, as_markdown, as_latex
    for kw in ({}, dict(seeds=(0,1,2,3,4)), dict(broken={("tiny","synthetic",0):"sample() gave NaN"}), dict(folds=("a","b"))):
        import pathlib
        made=fabricate(name=f"gan{len(str(kw))}", checks={"near_test":dict(films=240,flagged=0,threshold=.1,p=1.0,nearest=[])}, **kw)
        r=assemble(made.plan, made.store, ["cxrbench"])
        print(terminal(r,100).plain)
    print(as_markdown(r)); print(as_latex(r))
