" A .dlm document without tree-sitter: YAML frontmatter, fences, headers and markers; the rest is Markdown.
if exists("b:current_syntax")
  finish
endif

runtime! syntax/markdown.vim
unlet! b:current_syntax
syntax include @dlmYaml syntax/yaml.vim
unlet! b:current_syntax

syntax region dlmFrontmatter matchgroup=dlmDelimiter start=/\%^---$/ end=/^---$/ contains=@dlmYaml keepend
syntax match dlmFence /^::[a-z_]\+\%(#[a-z0-9_]\+\)\?\%(\s\+.*\)\?::\s*$/
syntax match dlmHeader /^### \%(Q\|A\|Prompt\|Chosen\|Rejected\)\s*$/
syntax match dlmMarker /^<!-- dlm-auto-.*-->\s*$/

highlight default link dlmDelimiter Delimiter
highlight default link dlmFence Statement
highlight default link dlmHeader Title
highlight default link dlmMarker Comment

let b:current_syntax = "dlm"
