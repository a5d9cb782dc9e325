;;; dlm-mode.el --- Documents that teach a language model  -*- lexical-binding: t; -*-

;; Version: 0.1.0
;; Package-Requires: ((emacs "29.1"))
;; Keywords: languages, text
;; SPDX-License-Identifier: MIT

;;; Commentary:

;; A `.dlm' file is a text document that teaches a language model.  This mode
;; colours it, has Eglot start `dlm-lsp' for it, shows in the mode line what is
;; being learned, and gives the server's commands names and keys.
;;
;;   (add-to-list 'load-path "/path/to/editors/emacs")
;;   (autoload 'dlm-mode "dlm-mode" nil t)
;;   (add-to-list 'auto-mode-alist '("\\.dlm\\'" . dlm-mode))
;;   (add-hook 'dlm-mode-hook #'eglot-ensure)
;;
;; The server's settings are Eglot's to give: see `eglot-workspace-configuration'.

;;; Code:

(require 'eglot)
(require 'outline)

(defgroup dlm nil
  "Documents that teach a language model."
  :group 'text
  :prefix "dlm-")

(defcustom dlm-server-command '("dlm-lsp")
  "The program that is the language server, and its arguments."
  :type '(repeat string))

(defcustom dlm-trusted t
  "Whether the server may train, load models and write its store."
  :type 'boolean)

(defface dlm-fence '((t :inherit font-lock-keyword-face))
  "Face of what begins a section, such as `::instruction::'.")

(defface dlm-header '((t :inherit font-lock-function-name-face))
  "Face of the headers of an exchange, such as `### Q'.")

(defconst dlm--fence "^::[a-z_]+\\(?:#[a-z0-9_]+\\)?\\(?:[ \t]+.*\\)?::[ \t]*$"
  "Regular expression of a line that begins a section.")

(defvar dlm-mode-syntax-table
  (let ((table (make-syntax-table text-mode-syntax-table)))
    ;; Base models such as qwen2.5-0.5b are one symbol.
    (modify-syntax-entry ?- "_" table)
    (modify-syntax-entry ?. "_" table)
    table)
  "Syntax table of `dlm-mode'.")

(defun dlm--frontmatter-end ()
  "Return where the frontmatter ends, or the beginning of the buffer."
  (save-excursion
    (save-match-data
      (goto-char (point-min))
      (if (and (looking-at-p "---[ \t]*$")
               (zerop (forward-line 1))
               (re-search-forward "^---[ \t]*$" nil t))
          (point)
        (point-min)))))

(defun dlm--match-key (limit)
  "Match the next key of the frontmatter before LIMIT."
  (let ((end (min limit (dlm--frontmatter-end))))
    (and (< (point) end)
         (re-search-forward "^[ \t]*\\(?:- \\)?\\([A-Za-z_][A-Za-z0-9_]*\\):" end t))))

(defvar dlm-font-lock-keywords
  `((dlm--match-key 1 'font-lock-variable-name-face)
    ("^---[ \t]*$" . 'font-lock-delimiter-face)
    ("^<!--.*-->[ \t]*$" . 'font-lock-comment-face)
    (,dlm--fence . 'dlm-fence)
    ("^### \\(?:Q\\|A\\|Prompt\\|Chosen\\|Rejected\\)[ \t]*$" . 'dlm-header)
    ("^#+ .*$" . 'outline-1)
    ("\\*\\*[^*\n]+\\*\\*" . 'bold)
    ("`[^`\n]+`" . 'font-lock-constant-face))
  "What `dlm-mode' colours.")

;;;; The client

(defclass dlm-eglot-server (eglot-lsp-server)
  ((statuses :initform (make-hash-table :test #'equal)))
  "A `dlm-lsp' with what it told last of each document, by URI.")

(cl-defmethod eglot-initialization-options ((_server dlm-eglot-server))
  "Tell the server whether it may train."
  `(:workspaceTrusted ,(if dlm-trusted t :json-false)))

(cl-defmethod eglot-client-capabilities ((_server dlm-eglot-server))
  "Declare that statuses are shown."
  (plist-put (cl-call-next-method) :experimental '(:dlm (:trainingStatus t))))

(cl-defmethod eglot-handle-notification
  ((server dlm-eglot-server) (_method (eql dlm/trainingStatus)) &rest status)
  "Keep STATUS of SERVER, and show it."
  (let* ((known (oref server statuses))
         (uri (plist-get status :uri))
         (before (gethash uri known)))
    (unless (and before (< (plist-get status :generation) (plist-get before :generation)))
      (puthash uri status known)
      (force-mode-line-update t))))

(add-to-list 'eglot-server-programs
             (cons 'dlm-mode (lambda (&rest _) (cons 'dlm-eglot-server dlm-server-command))))

(defun dlm--server ()
  "Return the server of this buffer; an error when there is none."
  (let ((server (eglot-current-server)))
    (unless (cl-typep server 'dlm-eglot-server)
      (user-error "No dlm-lsp is attached to this buffer (M-x eglot)"))
    server))

(defun dlm--uri ()
  "Return the URI of this buffer's document."
  (plist-get (eglot--TextDocumentIdentifier) :uri))

(defun dlm-status ()
  "Return what the server told last of this document, a property list, or nil."
  (let ((server (eglot-current-server)))
    (when (cl-typep server 'dlm-eglot-server)
      (gethash (dlm--uri) (oref server statuses)))))

(defun dlm--mode-line ()
  "Return the document's state in a few words for the mode line."
  (let ((told (plist-get (dlm-status) :message)))
    (if told (concat " " (string-replace "%" "%%" told)) "")))

(defun dlm--execute (command &optional fields then)
  "Have the server carry out COMMAND for this document, with FIELDS besides.
THEN is called with the result; without it the result's message is shown.
Nothing waits for it."
  (let ((argument `(:uri ,(dlm--uri) :quiet t ,@fields)))
    (jsonrpc-async-request
     (dlm--server) :workspace/executeCommand
     `(:command ,command :arguments [,argument])
     :success-fn (or then #'dlm--tell)
     :error-fn (lambda (problem) (message "dlm: %s" (plist-get problem :message)))
     :timeout 600
     :timeout-fn (lambda () (message "dlm: no answer to %s" command)))))

(defun dlm--tell (result)
  "Show the message of a command's RESULT."
  (let ((told (plist-get result :message)))
    (unless (member told '(nil ""))
      (message "dlm: %s" told))))

(defun dlm--save ()
  "Save the document, so that commands are about what is seen."
  (when (buffer-modified-p) (save-buffer)))

;;;; Commands

(defun dlm-train ()
  "Train what is new, changed or unfinished now."
  (interactive)
  (dlm--save)
  (dlm--execute "dlm.trainNow"))

(defun dlm-retrain (&optional certain)
  "Begin a new adapter from the base and train the whole document.
Asks first; not with a prefix argument (CERTAIN)."
  (interactive "P")
  (when (or certain (yes-or-no-p "Start over from the base model? "))
    (dlm--save)
    (dlm--execute "dlm.fullRetrain" '(:confirmed t))))

(defun dlm-cancel ()
  "Stop the run at its next step; the last version stays."
  (interactive)
  (dlm--execute "dlm.cancel"))

(defun dlm-ask (question)
  "Ask the document's model QUESTION and show the answer."
  (interactive "sQuestion: ")
  (dlm--execute "dlm.ask" `(:prompt ,question)
                (lambda (result) (dlm--show question (plist-get result :message)))))

(defun dlm-show-status ()
  "Say what has been learned."
  (interactive)
  (dlm--execute "dlm.showStatus"))

(defun dlm-revert-version (&optional version)
  "Make an earlier version current again.
That is VERSION (a prefix argument), or the one before the current one."
  (interactive "P")
  (dlm--execute "dlm.revert" (and version `(:version ,(prefix-numeric-value version)))))

(defun dlm-unlock ()
  "Remove the store's lock if its holder is dead."
  (interactive)
  (dlm--execute "dlm.unlock"))

(defun dlm--show (question answer)
  "Show ANSWER to QUESTION in a window beside, without going there."
  (with-current-buffer (get-buffer-create "*dlm answer*")
    (let ((inhibit-read-only t))
      (erase-buffer)
      (insert question "\n\n" (or answer "") "\n"))
    (special-mode)
    (visual-line-mode)
    (display-buffer (current-buffer))))

(defvar-keymap dlm-mode-map
  :doc "Keymap of `dlm-mode'."
  "C-c C-t" #'dlm-train
  "C-c C-r" #'dlm-retrain
  "C-c C-k" #'dlm-cancel
  "C-c C-a" #'dlm-ask
  "C-c C-s" #'dlm-show-status
  "C-c C-z" #'dlm-revert-version)

(easy-menu-define dlm-menu dlm-mode-map
  "Menu of `dlm-mode'."
  '("DLM"
    ["Train Now" dlm-train]
    ["Full Retrain" dlm-retrain]
    ["Cancel" dlm-cancel]
    ["Ask…" dlm-ask]
    ["Status" dlm-show-status]
    ["Revert to Version" dlm-revert-version]
    ["Unlock" dlm-unlock]))

;;;###autoload
(define-derived-mode dlm-mode text-mode "DLM"
  "Major mode of documents that teach a language model.
\\{dlm-mode-map}"
  (setq-local comment-start "<!-- "
              comment-end " -->"
              font-lock-defaults '(dlm-font-lock-keywords t)
              outline-regexp "#+ \\|::[a-z_]+"
              imenu-generic-expression `((nil ,dlm--fence 0))
              mode-line-process '((:eval (dlm--mode-line)))))

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.dlm\\'" . dlm-mode))

(provide 'dlm-mode)
;;; dlm-mode.el ends here
