;;; dlm-mode-test.el --- dlm-mode in a real Emacs, with a real server  -*- lexical-binding: t; -*-

;;; Commentary:

;; DLM_LSP=… DLM_HOME=… emacs -Q --batch -L . -l test/dlm-mode-test.el -f ert-run-tests-batch-and-exit

;;; Code:

(require 'ert)
(require 'dlm-mode)

(defvar dlm-test--used 0)

(defmacro dlm-test--until (what condition)
  "Wait until CONDITION holds, and return it; an error about WHAT after a minute."
  `(with-timeout (30 (error "Waited for nothing: %s; %S" ,what (dlm-status)))
     (let (found)
       (while (not (setq found ,condition)) (accept-process-output nil 0.05))
       found)))

(defun dlm-test--write (text)
  "Write a document with TEXT at its end into a project of its own; return its path."
  (let* ((folder (make-temp-file "dlm" t))
         (path (expand-file-name "notes.dlm" folder)))
    (make-directory (expand-file-name ".git" folder))
    (setq dlm-test--used (1+ dlm-test--used))
    (with-temp-file path
      (insert (format "---\ndlm_id: 01K0000000000000000000EM%02d\nbase_model: builtin:tiny\n" dlm-test--used) text))
    path))

(defconst dlm-test--body
  "---\n\n# The lighthouse\n\n::instruction::\n### Q\nWho keeps the lighthouse?\n### A\nMira Tolle keeps it.\n")

(defun dlm-test--server-idle ()
  "Wait until the server has nothing to do for this document; return its status."
  (jsonrpc-request (dlm--server) :dlm/waitForIdle (list :uri (dlm--uri)) :timeout 60))

(defmacro dlm-test--with (text &rest body)
  "Evaluate BODY in a document with TEXT, once the server has told of it; end the server."
  (declare (indent 1))
  `(let ((dlm-server-command (list (getenv "DLM_LSP"))) (eglot-sync-connect 60) (eglot-autoshutdown nil)
         (make-backup-files nil))
     (with-current-buffer (find-file-noselect (dlm-test--write ,text))
       (should (derived-mode-p 'dlm-mode))
       (apply #'eglot (eglot--guess-contact))
       (unwind-protect
           (progn (dlm-test--until "a status" (dlm-status)) ,@body)
         (eglot-shutdown (eglot-current-server))
         (set-buffer-modified-p nil)
         (kill-buffer)))))

(defun dlm-test--said (run)
  "Call RUN, and return the first thing that is said then."
  (let* ((said nil) (note (lambda (result) (push (plist-get result :message) said))))
    (advice-add 'dlm--tell :before note)
    (unwind-protect
        (progn (funcall run) (dlm-test--until "a message" said))
      (advice-remove 'dlm--tell note))
    (car said)))

(ert-deftest dlm-a-save-is-learned ()
  "A save is learned; commands, answers and the mode line tell of it."
  (dlm-test--with dlm-test--body
    (goto-char (point-max))
    (insert "### Q\nWho sails?\n### A\nNobody sails.\n")
    (save-buffer)
    (should (equal 1 (plist-get (dlm-test--server-idle) :version)))
    (dlm-test--until "the mode line" (string-search "learned (v0001)" (dlm--mode-line)))
    (should (string-search "v0001" (dlm-test--said #'dlm-show-status)))
    (dlm-ask "Who keeps the lighthouse?")
    (dlm-test--until "an answer" (get-buffer "*dlm answer*"))
    (with-current-buffer "*dlm answer*"
      (should (string-search "Mira Tolle keeps it." (buffer-string))))
    ;; Nothing new: the same version after another run by hand.
    (dlm-test--said #'dlm-train)
    (should (equal 1 (plist-get (dlm-test--server-idle) :version)))
    (dlm-test--said (lambda () (dlm-retrain t)))
    (dlm-test--until "a run" (plist-get (dlm-status) :run))
    (dlm-test--said #'dlm-cancel)
    (should (equal 1 (plist-get (dlm-test--server-idle) :version)))))

(ert-deftest dlm-problems-are-flymakes ()
  "What is wrong in the text is a diagnostic of Flymake, and a code action mends it."
  (dlm-test--with (concat "trainin:\n  lora_r: 8\n" dlm-test--body)
    (flymake-mode 1)
    (flymake-start)
    (let ((found (dlm-test--until "a diagnostic" (flymake-diagnostics))))
      (should (seq-some (lambda (each) (string-search "trainin" (flymake-diagnostic-text each))) found)))
    (goto-char (point-min))
    (search-forward "trainin")
    (should (eglot-code-actions (line-beginning-position) (line-end-position)))))

(ert-deftest dlm-settings-are-eglots ()
  "A setting in `eglot-workspace-configuration' counts: a save is marked, and not learned."
  (let ((eglot-workspace-configuration '(:dlm (:onSave "mark"))))
    (setq-default eglot-workspace-configuration eglot-workspace-configuration)
    (unwind-protect
        (dlm-test--with dlm-test--body
          (goto-char (point-max))
          (insert "\nMore.\n")
          (save-buffer)
          (should-not (plist-get (dlm-test--server-idle) :version)))
      (setq-default eglot-workspace-configuration nil))))

(ert-deftest dlm-what-is-not-trusted-trains-nothing ()
  "With `dlm-trusted' off nothing is trained, and the store stays untouched."
  (let ((dlm-trusted nil))
    (dlm-test--with dlm-test--body
      (goto-char (point-max))
      (insert "\nMore.\n")
      (save-buffer)
      (should-not (plist-get (dlm-test--server-idle) :version)))))

(ert-deftest dlm-colours ()
  "Frontmatter, fences, headers and headings have faces of their own."
  (with-temp-buffer
    (insert "---\nbase_model: builtin:tiny" dlm-test--body "\nnote: this is prose\n")
    (goto-char (point-min))
    (while (search-forward "builtin:tiny---" nil t) (replace-match "builtin:tiny\n---"))
    (dlm-mode)
    (font-lock-ensure)
    (dolist (each '(("base_model" . font-lock-variable-name-face) ("::instruction" . dlm-fence) ("### Q" . dlm-header)
                    ("# The" . outline-1) ("note" . nil)))
      (goto-char (point-min))
      (search-forward (car each))
      (should (equal (cdr each) (get-text-property (match-beginning 0) 'face))))))

(provide 'dlm-mode-test)
;;; dlm-mode-test.el ends here
