"""Simulated histories: several devices, users and a store, in one process, one turn after the other, by a seed.

`plan` makes a history from a seed, as data. `play` plays it: each device is a thread that goes on only when it is its
turn (`turns`), against one store in memory (`store`) and small folders in memory (`world`). `verbs` is the one place
that calls the product. After every step `model` is asked whether anything is lost, wrong, or was claimed without being
so. `situations` counts what was met, `shrink` makes a failing history small, `kept/` holds those that failed once.
"""
