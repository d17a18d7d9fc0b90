;;; A person's first minute with eglot, without hands: open, type, complete, write down what is there.
;;; emacs --batch -l eglot.el FILE TYPED SERVER...
(require 'eglot)
(load (expand-file-name "typed.el" (file-name-directory load-file-name)) nil t)

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
  (typed-and-completed file typed end)
  (eglot-shutdown (eglot-current-server)))
