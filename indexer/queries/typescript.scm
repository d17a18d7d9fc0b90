; What TypeScript has beyond JavaScript.

(interface_body (_) @statement)
(interface_body . (_) @first)
(enum_body (_) @statement)
(enum_body . (_) @first)
(object_type (_) @statement)
(object_type . (_) @first)

(internal_module body: (statement_block) @file)
(module body: (statement_block) @file)

; Definitions:
(ambient_declaration (_) @inner) @outer
(expression_statement (internal_module) @inner) @outer
[(internal_module) (module)] @definition.scope

[(abstract_class_declaration) (interface_declaration) (enum_declaration)] @definition.class
(type_alias_declaration) @definition.type
(function_signature) @definition.function
[(method_signature) (abstract_method_signature)] @definition.method
(public_field_definition name: (property_identifier) @name value: [
  (arrow_function body: (_) @body)
  (function_expression body: (_) @body)
]) @definition.method

(enum_body name: (property_identifier) @name @definition.constant)
(enum_assignment name: (property_identifier) @name) @definition.constant

; A value with a type said of it.
(lexical_declaration (variable_declarator name: (identifier) @name value: [
  (as_expression) (satisfies_expression) (non_null_expression)
])) @definition.variable
