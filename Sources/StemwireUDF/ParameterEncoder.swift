/// Turns a UDF's own parameter type into a `ParameterValue`.
struct ParameterEncoder: Encoder {
    /// The value under construction; containers write to it and share it.
    final class Node {
        enum Content {
            case value(ParameterValue)
            case list([Node])
            case object([String: Node])
        }

        var content = Content.value(.null)

        var value: ParameterValue {
            switch content {
            case .value(let value): value
            case .list(let nodes): .list(nodes.map(\.value))
            case .object(let nodes): .object(nodes.mapValues(\.value))
            }
        }

        func child(_ key: String) -> Node {
            let node = Node()
            var nodes: [String: Node] = [:]
            if case .object(let present) = content { nodes = present }
            nodes[key] = node
            content = .object(nodes)
            return node
        }

        func appendChild() -> Node {
            let node = Node()
            var nodes: [Node] = []
            if case .list(let present) = content { nodes = present }
            nodes.append(node)
            content = .list(nodes)
            return node
        }

        func encode(_ value: some Encodable, _ path: [any CodingKey]) throws {
            switch value {
            case let value as Bool: content = .value(.bool(value))
            case let value as String: content = .value(.text(value))
            case let value as Double: content = .value(.number(value))
            case let value as Float: content = .value(.number(Double(value)))
            case let value as any FixedWidthInteger:
                guard let whole = Int64(exactly: value) else { throw ParameterFault(path, "\(value) is too large") }
                content = .value(.integer(whole))
            default: try value.encode(to: ParameterEncoder(node: self, codingPath: path))
            }
        }
    }

    let node: Node
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    static func encode(_ value: some Encodable) throws -> ParameterValue {
        let node = Node()
        try node.encode(value, [])
        return node.value
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .value = node.content { node.content = .object([:]) }
        return KeyedEncodingContainer(Keyed<Key>(node: node, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .value = node.content { node.content = .list([]) }
        return Unkeyed(node: node, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { Single(node: node, codingPath: codingPath) }

    private struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let node: Node
        let codingPath: [any CodingKey]

        func encodeNil(forKey key: Key) throws { node.child(key.stringValue).content = .value(.null) }

        func encode(_ value: some Encodable, forKey key: Key) throws {
            try node.child(key.stringValue).encode(value, codingPath + [key])
        }

        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) -> KeyedEncodingContainer<Nested> {
            encoder(key).container(keyedBy: type)
        }

        func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
            encoder(key).unkeyedContainer()
        }

        func superEncoder() -> any Encoder {
            ParameterEncoder(node: node.child("super"), codingPath: codingPath)
        }

        func superEncoder(forKey key: Key) -> any Encoder { encoder(key) }

        private func encoder(_ key: Key) -> ParameterEncoder {
            ParameterEncoder(node: node.child(key.stringValue), codingPath: codingPath + [key])
        }
    }

    private struct Unkeyed: UnkeyedEncodingContainer {
        let node: Node
        let codingPath: [any CodingKey]

        var count: Int {
            if case .list(let nodes) = node.content { nodes.count } else { 0 }
        }

        func encodeNil() throws { node.appendChild().content = .value(.null) }

        func encode(_ value: some Encodable) throws { try node.appendChild().encode(value, codingPath) }

        func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
            encoder.container(keyedBy: type)
        }

        func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder.unkeyedContainer() }

        func superEncoder() -> any Encoder { encoder }

        private var encoder: ParameterEncoder { ParameterEncoder(node: node.appendChild(), codingPath: codingPath) }
    }

    private struct Single: SingleValueEncodingContainer {
        let node: Node
        let codingPath: [any CodingKey]

        func encodeNil() throws { node.content = .value(.null) }
        func encode(_ value: some Encodable) throws { try node.encode(value, codingPath) }
    }
}
