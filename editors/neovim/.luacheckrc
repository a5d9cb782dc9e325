std = "luajit"
max_line_length = 130
globals = { "vim" }
