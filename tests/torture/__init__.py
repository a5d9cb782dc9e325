"""`make torture`: kills a real server at every named instant of its disk changes, and at random ones, and looks."""
