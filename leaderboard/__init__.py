"""Records to standings: submissions, their checks, the site, the regression check.

Torch is imported by `regression/take` alone, a program that is started in a process of its own.
"""
