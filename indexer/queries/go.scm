; What a chunk of Go is made of; what the captures mean is told in python.scm.

(statement_list (_) @statement)
(statement_list . (_) @first)
(field_declaration_list (_) @statement)
(field_declaration_list . (_) @first)
(interface_type (_) @statement)
(interface_type . (_) @first)

[
  (const_spec)
  (var_spec)
  (type_spec)
  (import_spec)
  (expression_case)
  (type_case)
  (default_case)
  (communication_case)
] @statement

(comment) @comment

[(block) (ERROR)] @block

; Definitions:
(type_declaration . (type_spec) @inner .) @outer
(type_declaration . (type_alias) @inner .) @outer

(function_declaration) @definition.function
(method_declaration) @definition.method
(method_elem) @definition.method
(type_spec type: (struct_type (field_declaration_list) @body)) @definition.class
(type_spec type: (interface_type "{" @body)) @definition.class
(type_spec type: [
  (array_type) (channel_type) (function_type) (generic_type) (map_type) (pointer_type) (qualified_type) (slice_type)
  (type_identifier)
]) @definition.type
(type_alias) @definition.type

((const_spec name: (identifier) @name) @definition.variable (#not-eq? @name "_"))
((var_spec name: (identifier) @name) @definition.variable (#not-eq? @name "_"))
