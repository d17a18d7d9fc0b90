; What a chunk of Java is made of; what the captures mean is told in python.scm.

(block (_) @statement)
(block . (_) @first)
(constructor_body (_) @statement)
(constructor_body . (_) @first)
(class_body (_) @statement)
(class_body . (_) @first)
(interface_body (_) @statement)
(interface_body . (_) @first)
(enum_body (_) @statement)
(enum_body . (_) @first)
(enum_body_declarations (_) @statement)
(annotation_type_body (_) @statement)
(annotation_type_body . (_) @first)
(switch_block (_) @statement)
(switch_block_statement_group (_) @statement)

[
  (catch_clause)
  (finally_clause)
] @statement

[(line_comment) (block_comment)] @comment

; Definitions:
[
  (class_declaration)
  (interface_declaration)
  (enum_declaration)
  (record_declaration)
  (annotation_type_declaration)
] @definition.class
[
  (method_declaration)
  (constructor_declaration)
  (compact_constructor_declaration)
  (annotation_type_element_declaration)
] @definition.method

(enum_constant) @definition.constant
(field_declaration (modifiers "static") declarator: (variable_declarator name: (identifier) @name)) @definition.constant
(constant_declaration declarator: (variable_declarator name: (identifier) @name)) @definition.constant
