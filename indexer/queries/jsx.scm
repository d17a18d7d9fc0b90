; Elements in JavaScript and TSX: a long one is cut at its children.

(jsx_element (jsx_element) @statement)
(jsx_element (jsx_self_closing_element) @statement)
(jsx_element (jsx_expression) @statement)
