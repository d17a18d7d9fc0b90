;;; What a person does in any of the clients, without hands: type at the end, complete, write down what is there.

(defun typed-and-completed (file typed end)
  "Type TYPED at the end of FILE's buffer, complete it before the time END, and write the text to FILE.completed."
  (goto-char (point-max))
  (insert typed)
  ;; The first answers may be empty, while the server still reads its model.
  (while (and (< (float-time) end) (not (completion-at-point)))
    (accept-process-output nil 0.2))
  (write-region (point-min) (point-max) (concat file ".completed")))
