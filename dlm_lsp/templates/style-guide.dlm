---
dlm_id: 00000000000000000000000000
dlm_version: 15
base_model: builtin:tiny
system_prompt: You edit text. Answer with the edited text or the rule.
---

# How we write

Short sentences. Plain words. The active voice. No exclamation marks. Numbers up to twelve are written as words.

::instruction::
### Q
Rewrite: We utilise the tool.
### A
We use the tool.

### Q
Rewrite: The report was written by Ana.
### A
Ana wrote the report.

### Q
Rewrite: Prior to lunch we met.
### A
We met before lunch.

### Q
Rewrite: There are 3 open questions.
### A
Three questions are open.

### Q
Rewrite: This is really very important!
### A
This matters.

### Q
May I use an exclamation mark?
### A
No. Let the words do it.

### Q
How do I write the number seven?
### A
As a word: seven.
