import StemwireProtocol
import StemwireUDF

extension WirePositionRange {
    package init(_ range: Range<Int>) {
        self.init()
        first = UInt64(range.lowerBound)
        count = UInt64(range.count)
    }
}

extension WireUdfRequest {
    package init(_ request: UDFRequest) {
        self.init()
        id = request.id
        name = request.name
        parameters = request.parameters.mapValues { value in
            if case .text(let text) = value { text } else { value.json }
        }
    }
}

extension UDFRequest {
    /// The request as it came over the wire; ids and values are checked when the run is planned.
    package init(_ request: WireUdfRequest) {
        self.init(
            id: request.id.isEmpty ? nil : request.id, name: request.name,
            parameters: request.parameters.mapValues { .text($0) })
    }
}
