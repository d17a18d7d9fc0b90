; What a chunk of Rust is made of; what the captures mean is told in python.scm.

(block (_) @statement)
(block . (_) @first)
(declaration_list (_) @statement)
(declaration_list . (_) @first)
(field_declaration_list (_) @statement)
(field_declaration_list . (_) @first)
(enum_variant_list (_) @statement)
(enum_variant_list . (_) @first)
(match_block (_) @statement)
(match_block . (_) @first)

[(line_comment) (block_comment) (attribute_item)] @comment

; Definitions:
[(function_item) (function_signature_item)] @definition.function
(macro_definition) @definition.function
[(struct_item) (enum_item) (union_item) (trait_item)] @definition.class
(impl_item) @definition.members
(mod_item body: (_)) @definition.scope
(type_item) @definition.type

((const_item name: (identifier) @name) @definition.constant (#not-eq? @name "_"))
[(static_item) (enum_variant)] @definition.constant
