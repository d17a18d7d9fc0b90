;;; As eglot.el, with lsp-mode beside whatever other servers there are.
;;; emacs --batch -l lsp-mode.el FILE TYPED SERVER...
(require 'lsp-mode)
(require 'lsp-completion)
(load (expand-file-name "typed.el" (file-name-directory load-file-name)) nil t)

(let* ((file (pop command-line-args-left))
       (typed (pop command-line-args-left))
       (server command-line-args-left)
       (end (+ (float-time) 80)))
  (setq command-line-args-left nil)
  (setq lsp-enable-suggest-server-download nil lsp-auto-guess-root t lsp-enabled-clients '(hef-lsp))
  (lsp-register-client
   (make-lsp-client :new-connection (lsp-stdio-connection server)
                    :activation-fn (lsp-activate-on "python")
                    :add-on? t
                    :server-id 'hef-lsp))
  (find-file file)
  (lsp-workspace-folders-add (file-name-directory file))
  (lsp)
  (while (and (< (float-time) end)
              (not (eq 'initialized (lsp--workspace-status (car (lsp-workspaces))))))
    (accept-process-output nil 0.2))
  (lsp-completion-mode 1)
  (typed-and-completed file typed end)
  (lsp-workspace-shutdown (car (lsp-workspaces))))
