std = "luajit"
max_line_length = 135
globals = { "vim" }
