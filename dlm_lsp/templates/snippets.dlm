---
dlm_id: 00000000000000000000000000
dlm_version: 15
base_model: builtin:tiny
system_prompt: You answer with the snippet alone.
---

# Snippets

One task an exchange, worded as you would ask for it. Put longer code into a block; what stands in it is never taken for
a fence.

::instruction::
### Q
Regex for a date like 2024-05-31
### A
`\d{4}-\d{2}-\d{2}`

### Q
Regex for a hex colour
### A
`#[0-9a-fA-F]{6}`

### Q
Regex for a blank line
### A
`^\s*$`

### Q
Regex for a whole number
### A
`-?\d+`

### Q
Shell: count the lines of a file
### A
`wc -l FILE`

### Q
Shell: find large files
### A
`find . -size +100M`

### Q
Python: read a file
### A
```python
text = Path(name).read_text()
```

### Q
Git: undo the last commit, keep the changes
### A
`git reset --soft HEAD~1`
