extension UDFRegistry {
    /// The UDFs that every server and worker has.
    public static let builtIn: UDFRegistry = {
        var registry = UDFRegistry()
        registry.addBuiltIn(SumUDF.self)
        registry.addBuiltIn(SumSigUDF.self)
        registry.addBuiltIn(MaxUDF.self)
        registry.addBuiltIn(MonitorUDF.self)
        registry.addBuiltIn(DiskUDF.self)
        registry.addBuiltIn(RingUDF.self)
        registry.addBuiltIn(PointUDF.self)
        registry.addBuiltIn(RectangleUDF.self)
        registry.addBuiltIn(CentreOfMassUDF.self)
        return registry
    }()

    private mutating func addBuiltIn(_ type: (some UDF).Type) {
        do {
            try add(type)
        } catch {
            preconditionFailure("\(error)")
        }
    }
}
