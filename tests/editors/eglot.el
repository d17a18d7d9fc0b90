;;; A person's first minute with eglot, without hands: open, type, complete, write down what is there.
;;; emacs --batch -l eglot.el FILE TYPED SERVER...
(require 'eglot)

(let* ((file (pop command-line-args-left))
       (typed (pop command-line-args-left))
       (server command-line-args-left)
       (end (+ (float-time) 80)))
  (setq command-line-args-left nil)
  (setq eglot-sync-connect 80 eglot-connect-timeout 80)
  (setq project-find-functions (list (lambda (folder) (cons 'transient folder))))
  (add-to-list 'eglot-server-programs (cons 'python-mode server))
  (find-file file)
  (python-mode)
  (eglot-ensure)
  (run-hooks 'post-command-hook)          ; eglot connects when the command that opened the file is over
  (goto-char (point-max))
  (insert typed)
  ;; The first answers may be empty, while the server still reads its model.
  (while (and (< (float-time) end) (not (completion-at-point)))
    (accept-process-output nil 0.2))
  (write-region (point-min) (point-max) (concat file ".completed"))
  (eglot-shutdown (eglot-current-server)))
